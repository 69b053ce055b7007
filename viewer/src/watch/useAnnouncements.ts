/** Reads out what happens, a speech when it is finished: never word by word. */

import { useEffect, useRef } from 'react';
import { plainText } from '../markdown.tsx';
import type { Entry, StreamView, Voice } from '../stream/view.ts';
import { announce } from '../ui/Announcer.tsx';
import { spelled, STATUS_WORDS } from '../words.ts';
import { gapWords, NOTE_WORDS } from './Transcript.tsx';

const SPOKEN_MAX = 2_000; // a screen reader should not be held for minutes by one speech

/** @param atEdge whether what comes now is news, not history */
export function useAnnouncements(view: StreamView, status: string, atEdge: boolean): void {
  const told = useRef<{ entries: readonly Entry[]; status: string } | null>(null);
  useEffect(() => {
    if (!atEdge) return;
    const before = told.current;
    told.current = { entries: view.entries, status };
    if (before === null) {
      const speaker = view.speaker === null ? null : view.voices[view.speaker]!.name;
      announce([STATUS_WORDS[status], view.phase && `Phase: ${spelled(view.phase)}`, speaker && `Speaker: ${speaker}`].filter(Boolean).join('. '));
      return;
    }
    const last = before.entries.at(-1);
    const from = last === undefined ? 0 : view.entries.lastIndexOf(last) + 1;
    for (const entry of view.entries.slice(from)) announce(spokenEntry(entry, view.voices));
  }, [view, status, atEdge]);
}

export function spokenEntry(entry: Entry, voices: readonly Voice[]): string {
  switch (entry.kind) {
    case 'phase': return `Phase: ${spelled(entry.phase)}`;
    case 'gap': return `${NOTE_WORDS.gap}. ${gapWords(entry)}`;
    case 'speech': {
      const words = plainText(entry.text.slice(0, SPOKEN_MAX)) + (entry.text.length > SPOKEN_MAX ? '…' : '');
      return `${voices[entry.voice]!.name}${entry.interjection ? ' interjects' : ''}: ${words}${entry.interrupted ? ' Interrupted.' : ''}`;
    }
    default: return `${NOTE_WORDS[entry.kind]}. ${entry.text ?? ''}`;
  }
}
