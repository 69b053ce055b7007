/** What the page draws of a stream, whichever kind it is, and wherever its events came from. */

import type { Kind } from '../words.ts';

/** `null`: a voice that argues for neither side. */
export type Side = 'pro' | 'con' | 'moderator' | null;

export interface Voice {
  readonly name: string;
  readonly side: Side;
  readonly isHost: boolean;
  /** Which of the colours is this voice's own; voices with a side have theirs. */
  readonly tone: number;
}

export interface Speech {
  readonly kind: 'speech';
  readonly key: string;
  /** The key of the growing speech whose place this takes, if the page saw it grow. */
  readonly grewAs: string | null;
  readonly voice: number;
  readonly text: string;
  readonly at: number | null;
  readonly interjection: boolean;
  readonly interrupted: boolean;
  /** The question that this answers; empty if it is not told. */
  readonly question: string | null;
}

export interface PhaseMark {
  readonly kind: 'phase';
  readonly key: string;
  readonly phase: string;
  readonly at: number | null;
}

export interface Note {
  readonly kind: 'pause' | 'resume' | 'complete' | 'error';
  readonly key: string;
  readonly text: string | null;
  readonly at: number | null;
}

export interface GapMark {
  readonly kind: 'gap';
  readonly key: string;
  readonly reason: string;
  readonly missed: number | null;
  readonly atStart: boolean;
}

export type Entry = Speech | PhaseMark | Note | GapMark;

/** What a voice has said so far. */
export interface OpenSpeech {
  readonly key: string;
  readonly voice: number;
  readonly segment: string;
  readonly text: string;
}

/** How the connection fares; `refused` and `finished` are for good. */
export type Link = 'connecting' | 'catching-up' | 'open' | 'reconnecting' | 'refused' | 'finished';

export type Condition = 'waiting' | 'live' | 'paused' | 'completed';

export interface StreamView {
  readonly kind: Kind;
  /** The stream's own state, as far as it is known. */
  readonly condition: Condition | null;
  readonly title: string | null;
  readonly proposition: string | null;
  readonly phase: string | null;
  /** Index into `voices`. */
  readonly speaker: number | null;
  readonly voices: readonly Voice[];
  readonly entries: readonly Entry[];
  readonly open: readonly OpenSpeech[];
  readonly summary: string | null;
  readonly turnCount: number;
  readonly followers: number | null;
  /** Milliseconds since the epoch, by the publisher's clock. */
  readonly startedAt: number | null;
  readonly lastAt: number | null;
}

/** What stands in the pill: the link's trouble first, for whatever else is known is then from before it. */
export type Status = Exclude<Link, 'open' | 'finished'> | Condition;

export function statusOf(view: StreamView, link: Link): Status {
  if (view.condition === 'completed') return 'completed';
  if (link === 'open' || link === 'finished') return view.condition ?? 'waiting';
  return link;
}

/** Whether a voice is speaking at this moment. */
export const isSpeaking = (view: StreamView, voice: number) =>
  view.condition === 'live' && view.open.some((speech) => speech.voice === voice);

/** What a voice is there for, in a word. */
export function roleOf(voice: Voice): string | null {
  switch (voice.side) {
    case 'pro': return 'For';
    case 'con': return 'Against';
    case 'moderator': return 'Moderator';
    case null: return voice.isHost ? 'Host' : null;
  }
}

const TONES = 6;

/** Speakers may be called anything; these are the words by which people name the sides. */
export function sideOf(name: string): Side {
  const words = name.toLowerCase().split(/[^a-z]+/);
  const has = (...candidates: string[]) => candidates.some((word) => words.includes(word));
  if (has('moderator', 'chair', 'host')) return 'moderator';
  if (has('con', 'against', 'opposition', 'opponent', 'negative')) return 'con';
  if (has('pro', 'for', 'proposition', 'proponent', 'affirmative')) return 'pro';
  return null;
}

/** Gives voices their sides and colours, in the order in which they were first heard of. */
export function cast(kind: Kind, voices: readonly { name: string; isHost: boolean }[]): Voice[] {
  let tone = 0;
  return voices.map(({ name, isHost }) => {
    const side = kind === 'debate' ? sideOf(name) : null;
    return { name, side, isHost, tone: side === null ? tone++ % TONES : 0 };
  });
}
