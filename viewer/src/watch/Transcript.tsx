/** What has been said, in order, with what happened in between, and then what is being said. */

import { memo } from 'react';
import type { Entry, GapMark, Speech as SpeechEntry, StreamView } from '../stream/view.ts';
import { clockTime, counted, spelled } from '../words.ts';
import { Speech } from './Speech.tsx';
import { entryId } from './useFollowing.ts';

export const NOTE_WORDS = { pause: 'Paused', resume: 'Resumed', complete: 'Ended', error: 'Problem', gap: 'Gap' } as const;

/** So many lines are looked at together: of a long transcript only the last part changes as it grows. */
const PART = 40;

type Props = Pick<StreamView, 'entries' | 'open' | 'voices' | 'startedAt'>;

export const Transcript = memo(function Transcript({ entries, open, ...rest }: Props) {
  const count = Math.ceil((entries.length + open.length) / PART);
  return Array.from({ length: count }, (_, part) => {
    const from = part * PART;
    return <Part key={part} entries={entries.slice(from, from + PART)} open={open.slice(Math.max(0, from - entries.length), Math.max(0, from + PART - entries.length))} {...rest} />;
  });
});

const Part = memo(function Part({ entries, open, voices, startedAt }: Props) {
  const offsetOf = (at: number | null) => (at === null || startedAt === null ? null : Math.max(0, at - startedAt));
  return [
    ...entries.map((entry) => (entry.kind === 'speech' ? <Speech key={entry.grewAs ?? entry.key} speech={entry} voice={voices[entry.voice]!} offset={offsetOf(entry.at)} />
      : <Mark key={entry.key} entry={entry} offset={'at' in entry ? offsetOf(entry.at) : null} />)),
    ...open.map((speech) => <Speech key={speech.key} speech={speech} voice={voices[speech.voice]!} offset={null} />),
  ];
}, (a, b) => a.voices === b.voices && a.startedAt === b.startedAt && isSameList(a.entries, b.entries) && isSameList(a.open, b.open));

const isSameList = (a: readonly object[], b: readonly object[]) => a.length === b.length && a.every((item, index) => item === b[index]);

/** What happens between speeches. */
const Mark = memo(function Mark({ entry, offset }: { entry: Exclude<Entry, SpeechEntry>; offset: number | null }) {
  switch (entry.kind) {
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
