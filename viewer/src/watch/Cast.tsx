/** Who takes part, where they stand, and who is speaking. */

import { memo, useMemo } from 'react';
import { isSpeaking, roleOf, type StreamView, type Voice } from '../stream/view.ts';
import { look, Mark, Meter } from '../ui/Mark.tsx';
import { counted } from '../words.ts';
import { shares, type Growing } from './score.ts';

const STANDS: Record<string, string> = { pro: 'For', con: 'Against', moderator: 'In the chair' };

export const Cast = memo(function Cast({ view, growing }: { view: StreamView; growing: readonly Growing[] }) {
  const { entries, voices } = view;
  const part = useMemo(() => shares({ entries, voices }, growing), [entries, voices, growing]);
  if (voices.length === 0) return null;
  return (
    <section aria-labelledby="cast-heading">
      <h2 id="cast-heading">{view.kind === 'debate' ? 'On stage' : 'At the table'}</h2>
      <ul className="cast" data-kind={view.kind}>
        {voices.map((voice, index) => (
          <Member key={index} voice={voice} turns={part[index]!.turns} part={part[index]!.part}
            speaking={isSpeaking(view, index)} hasFloor={view.speaker === index && view.condition !== 'completed'} />
        ))}
      </ul>
    </section>
  );
}, isSameCast);

/** A growing text is no reason to draw everybody anew. */
function isSameCast(a: { view: StreamView; growing: readonly Growing[] }, b: typeof a): boolean {
  return a.growing === b.growing && (['kind', 'voices', 'entries', 'speaker', 'condition'] as const).every((key) => a.view[key] === b.view[key]);
}

interface MemberProps { voice: Voice; turns: number; part: number; speaking: boolean; hasFloor: boolean }

function Member({ voice, turns, part, speaking, hasFloor }: MemberProps) {
  const stand = voice.side ? STANDS[voice.side]! : roleOf(voice) ?? 'Guest';
  return (
    <li {...look(voice)} data-speaking={speaking || undefined} data-floor={hasFloor || undefined}>
      <Mark voice={voice} large />
      <span className="member-name"><bdi>{voice.name}</bdi></span>
      <span className="member-facts">{speaking ? <><Meter />speaking</> : `${stand} · ${counted(turns, 'turn')}`}</span>
      <span className="member-part" aria-hidden="true"><i style={{ transform: `scaleX(${part.toFixed(2)})` }} /></span>
    </li>
  );
}
