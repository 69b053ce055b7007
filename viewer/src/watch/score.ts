/**
 * The score: a debate or a conversation as bars on one line, as long as what was said.
 *
 * Its measure is the length of the text and not the clock, since exports and hurried publishers put
 * several speeches on one second; a pause of an hour would leave nothing else to see.
 */

import type { Entry, OpenSpeech, StreamView } from '../stream/view.ts';

const SHORTEST = 40;
/** The score of a stream that has hardly begun leaves room for what is to come. */
const FIRST_EXTENT = 2_500;
/** Where a speech that is still growing ends, as a part of the whole. */
const LIVE_EDGE = 0.97;

export interface Bar {
  readonly key: string;
  readonly voice: number;
  readonly from: number;
  readonly to: number;
  readonly interjection: boolean;
  readonly interrupted: boolean;
  readonly growing: boolean;
}

export interface Section {
  readonly key: string;
  readonly phase: string;
  readonly from: number;
  readonly to: number;
}

export interface Score {
  readonly bars: readonly Bar[];
  readonly sections: readonly Section[];
  /** How much has been said. */
  readonly said: number;
  /** What the whole width stands for. */
  readonly extent: number;
}

const lengthOf = (text: string) => Math.max(SHORTEST, text.length);

/** A speech under way, as far as the score and the shares need it. */
export interface Growing {
  readonly voice: number;
  readonly segment: string;
  readonly length: number;
}

/** How finely a growing speech is measured: with a new length for each token, all bars would move in each frame. */
const STEP = 48;

export const growingOf = (open: readonly OpenSpeech[]): Growing[] =>
  open.map(({ voice, segment, text }) => ({ voice, segment, length: Math.ceil(text.length / STEP) * STEP }));

/** @param anyLength whether it is enough that the same voices go on with the same speeches */
export const isSameGrowth = (a: readonly Growing[], b: readonly Growing[], anyLength = false) => a.length === b.length
  && a.every(({ voice, segment, length }, index) => voice === b[index]!.voice && segment === b[index]!.segment && (anyLength || length === b[index]!.length));

export function scoreOf(entries: readonly Entry[], growing: readonly Growing[], isOver: boolean): Score {
  const bars: Bar[] = [];
  const begun: { key: string; phase: string; from: number }[] = [];
  let said = 0;
  for (const entry of entries) {
    if (entry.kind === 'phase') begun.push({ key: entry.key, phase: entry.phase, from: said });
    if (entry.kind !== 'speech') continue;
    const to = said + lengthOf(entry.text);
    bars.push({ key: entry.key, voice: entry.voice, from: said, to, interjection: entry.interjection, interrupted: entry.interrupted, growing: false });
    said = to;
  }
  // Voices that speak at once begin at one point; the score goes on after the longest.
  const from = said;
  for (const { voice, segment, length } of growing) {
    const to = from + Math.max(SHORTEST, length);
    bars.push({ key: `open-${voice}-${segment}`, voice, from, to, interjection: false, interrupted: false, growing: true });
    said = Math.max(said, to);
  }
  const extent = isOver ? Math.max(1, said) : Math.max(FIRST_EXTENT, said / LIVE_EDGE);
  const sections = begun.map((section, index) => ({ ...section, to: begun[index + 1]?.from ?? extent }));
  return { bars, sections, said, extent };
}

/** The speech that is going on at a point of the score. */
export const barAt = (score: Score, at: number) => score.bars.find((bar) => at < bar.to) ?? score.bars.at(-1) ?? null;

/** How much of all that was said is each voice's, 0 to 1. */
export function shares({ entries, voices }: Pick<StreamView, 'entries' | 'voices'>, growing: readonly Growing[]): { part: number; turns: number }[] {
  const lengths = voices.map(() => 0);
  const turns = voices.map(() => 0);
  for (const entry of entries) {
    if (entry.kind !== 'speech') continue;
    lengths[entry.voice]! += entry.text.length;
    turns[entry.voice]! += 1;
  }
  for (const { voice, length } of growing) lengths[voice]! += length;
  const all = Math.max(1, lengths.reduce((sum, length) => sum + length, 0));
  return lengths.map((length, voice) => ({ part: length / all, turns: turns[voice]! }));
}
