/**
 * A finished stream at any point of its score: its history, folded up to there by the client's own
 * rules, with the speech that was going on cut off where it then was.
 */

import { useCallback, useEffect, useMemo, useRef, useState } from 'react';
import { fold, initialState, type ConversationState, type DebateState, type StreamEvent } from '../stream/client.ts';
import { history } from '../api.ts';
import { Projection } from '../stream/projection.ts';
import type { Speech, StreamView } from '../stream/view.ts';
import type { Kind } from '../words.ts';
import { barAt, scoreOf, type Score } from './score.ts';

/** Letters a second: a brisk speaker. */
const PACE = 18;
const FRAME_MS = 50;

type State = DebateState | ConversationState;

export interface Replay {
  readonly view: StreamView;
  readonly score: Score;
  /** Of the whole; `score` counts in them. */
  readonly fullVoices: StreamView['voices'];
  /** How long it had been going on, and how long it did in all; null where the publisher told no times. */
  readonly elapsed: number | null;
  readonly length: number | null;
  /** null: all of it. */
  readonly at: number | null;
  readonly isPlaying: boolean;
  readonly speed: number;
  readonly seek: (at: number | null) => void;
  readonly play: (on: boolean) => void;
  readonly setSpeed: (speed: number) => void;
}

/** @param whole the finished stream; null while there is nothing to replay */
export function useReplay(kind: Kind, id: string, whole: StreamView | null): Replay | null {
  const [events, setEvents] = useState<readonly StreamEvent[] | null>(null);
  const [at, setAt] = useState<number | null>(null);
  const [isPlaying, play] = useState(false);
  const [speed, setSpeed] = useState(1);
  const isOver = whole !== null;

  useEffect(() => {
    setEvents(null);
    setAt(null);
    play(false);
    if (!isOver) return;
    const leave = new AbortController();
    // Without the history the transcript still stands there; only the scrubber stays away.
    history(kind, id, leave.signal).then((all) => setEvents(all.map(({ type, data, id }) => ({ type, data, id }))), () => {});
    return () => leave.abort();
  }, [kind, id, isOver]);

  const full = useMemo(() => (events === null ? null : layOut(kind, events)), [kind, events]);
  const folding = useRef<{ events: readonly StreamEvent[]; count: number; state: State; projection: Projection } | null>(null);

  const view = useMemo(() => {
    if (whole === null || full === null || events === null || at === null || at >= full.score.said) return whole;
    const bar = barAt(full.score, at)!;
    const count = full.places.get(bar.key)!;
    let now = folding.current;
    if (now === null || now.events !== events || now.count > count) {
      now = { events, count: 0, state: initialState(kind), projection: new Projection(kind) };
    }
    let { state } = now;
    for (const event of events.slice(now.count, count)) state = fold(state, event);
    folding.current = { ...now, count, state };
    const speech = full.view.entries.find((entry): entry is Speech => entry.key === bar.key)!;
    const words = speech.text.slice(0, Math.floor(((at - bar.from) / (bar.to - bar.from)) * speech.text.length));
    const shown = now.projection.view(state);
    const voice = full.view.voices[speech.voice]!;
    const known = shown.voices.findIndex(({ name }) => name === voice.name);
    return {
      ...shown, condition: 'live' as const, followers: whole.followers,
      voices: known < 0 ? full.view.voices : shown.voices,
      speaker: known < 0 ? speech.voice : known,
      open: words === '' ? [] : [{ key: speech.key, voice: known < 0 ? speech.voice : known, segment: '', text: words }],
    };
  }, [kind, whole, full, events, at]);

  useEffect(() => {
    if (!isPlaying || full === null) return;
    let last = performance.now();
    const timer = setInterval(() => {
      const now = performance.now();
      const step = ((now - last) / 1000) * PACE * speed;
      last = now;
      setAt((before) => Math.min(full.score.said, (before ?? 0) + step));
    }, FRAME_MS);
    return () => clearInterval(timer);
  }, [isPlaying, full, speed]);

  useEffect(() => {
    if (full !== null && at !== null && at >= full.score.said) {
      play(false);
      setAt(null);
    }
  }, [at, full]);

  const seek = useCallback((to: number | null) => setAt(to === null ? null : Math.max(0, to)), []);
  const start = useCallback((on: boolean) => {
    if (on) setAt((before) => before ?? 0);
    play(on);
  }, []);
  if (view === null || full === null) return null;
  const { startedAt, lastAt } = full.view;
  const length = startedAt === null || lastAt === null ? null : lastAt - startedAt;
  const elapsed = at === null ? length : elapsedAt(full, view, at);
  return {
    elapsed, length, view, score: full.score, fullVoices: full.view.voices, at, isPlaying, speed, seek, play: start, setSpeed,
  };
}

/** Between the times that two speeches were told to have ended at. */
function elapsedAt(full: { view: StreamView; score: Score }, shown: StreamView, at: number): number | null {
  const bar = barAt(full.score, at);
  const speech = full.view.entries.find((entry): entry is Speech => entry.key === bar?.key);
  const from = shown.lastAt ?? full.view.startedAt;
  if (!bar || !speech || speech.at === null || from === null || full.view.startedAt === null) return null;
  return from - full.view.startedAt + Math.max(0, speech.at - from) * ((at - bar.from) / (bar.to - bar.from));
}

/** The whole, and how many events come before each entry. */
function layOut(kind: Kind, events: readonly StreamEvent[]): { view: StreamView; score: Score; places: ReadonlyMap<string, number> } {
  let state: State = initialState(kind);
  for (const event of events) state = fold(state, event);
  const view = new Projection(kind).view(state);
  const places = new Map(events.map((event, index) => [event.id!, index]));
  return { view, score: scoreOf(view.entries, [], true), places };
}
