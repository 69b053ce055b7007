/** What has been said, in order, with what happened in between. */

import { memo } from 'react';
import type { Entry, GapMark, StreamView } from '../stream/view.ts';
import { clockTime, counted, spelled } from '../words.ts';
import { Speech } from './Speech.tsx';
import { entryId } from './useFollowing.ts';

export const NOTE_WORDS = { pause: 'Paused', resume: 'Resumed', complete: 'Ended', error: 'Problem', gap: 'Gap' } as const;

type Props = Pick<StreamView, 'entries' | 'voices' | 'startedAt'>;

export const Transcript = memo(function Transcript({ entries, voices, startedAt }: Props) {
  const offsetOf = (at: number | null) => (at === null || startedAt === null ? null : Math.max(0, at - startedAt));
  return entries.map((entry) => <Line key={entry.key} entry={entry} voice={entry.kind === 'speech' ? voices[entry.voice]! : null} offset={'at' in entry ? offsetOf(entry.at) : null} />);
});

const Line = memo(function Line({ entry, voice, offset }: { entry: Entry; voice: StreamView['voices'][number] | null; offset: number | null }) {
  switch (entry.kind) {
    case 'speech': return <Speech entry={entry} voice={voice!} offset={offset} />;
    case 'phase': return <h2 className="phase-mark" id={entryId(entry.key)} tabIndex={-1}><bdi>{spelled(entry.phase)}</bdi>{offset !== null && <time>{clockTime(offset)}</time>}</h2>;
    case 'gap': return <p className="note" data-kind="gap"><strong>{NOTE_WORDS.gap}</strong> {gapWords(entry)}</p>;
    default: return (
      <p className="note" data-kind={entry.kind}>
        <strong>{NOTE_WORDS[entry.kind]}</strong>{entry.text && <> <bdi>{entry.text}</bdi></>}{offset !== null && <time>{clockTime(offset)}</time>}
      </p>
    );
  }
});

export function gapWords({ reason, missed, atStart }: GapMark): string {
  const events = missed === null ? 'Some events' : counted(missed, 'event');
  if (reason === 'expired') {
    return atStart ? `The beginning is missing: the server no longer keeps it (${events.toLowerCase()}).`
      : `${events} came while this page was away, and the server no longer keeps them.`;
  }
  if (reason === 'ahead') return 'The server has gone back to an earlier state. This is what it still has.';
  return 'The server has begun this stream anew. This is all that it still has.';
}
