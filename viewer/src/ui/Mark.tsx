/** A voice's sign: a half-moon for each side, a ring for the moderator, initials in a colour of its own for others. */

import type { Voice } from '../stream/view.ts';
import { initials } from '../words.ts';

/** What the style sheets tell voices apart by. */
export const look = (voice: Voice) => (voice.side ? { 'data-side': voice.side } : { 'data-tone': voice.tone });

export function Mark({ voice, large = false }: { voice: Voice; large?: boolean }) {
  return (
    <span className={large ? 'mark large' : 'mark'} aria-hidden="true" {...look(voice)}>
      {voice.side ? null : initials(voice.name)}
    </span>
  );
}

/** Three bars that rise and fall: somebody is speaking. */
export const Meter = () => <span className="meter" aria-hidden="true"><i /><i /><i /></span>;
