/** At the foot of the page: the score, the time, and the way back to the live edge. */

import { useEffect, useMemo, useState, type KeyboardEvent } from 'react';
import type { StreamView } from '../stream/view.ts';
import { Icon } from '../ui/Icon.tsx';
import { clockTime, spelled } from '../words.ts';
import { Score } from './Score.tsx';
import { barAt, scoreOf, type Growing, type Score as ScoreData } from './score.ts';
import type { Replay } from './useReplay.ts';

const SPEEDS = [1, 2, 4, 8] as const;

/** Counts on while the stream is live, and stands still at its end. */
function useElapsed(view: StreamView): number | null {
  const [now, setNow] = useState(Date.now);
  const runs = view.startedAt !== null && view.condition !== 'completed';
  useEffect(() => {
    if (!runs) return;
    setNow(Date.now());
    const timer = setInterval(() => { if (!document.hidden) setNow(Date.now()); }, 1_000);
    return () => clearInterval(timer);
  }, [runs]);
  if (view.startedAt === null) return null;
  return Math.max(0, (runs ? now : view.lastAt ?? now) - view.startedAt);
}

export const Clock = ({ view }: { view: StreamView }) => {
  const elapsed = useElapsed(view);
  return <time className="clock" role="timer" aria-label="Time since the beginning">{elapsed === null ? '–:––' : clockTime(elapsed)}</time>;
};

interface LiveProps { view: StreamView; growing: readonly Growing[]; isLinked: boolean; following: boolean | null; unseen: number; onJump: () => void; onShow: (key: string) => void }

export function LiveDock({ view, growing, isLinked, following, unseen, onJump, onShow }: LiveProps) {
  const { entries, condition } = view;
  const score = useMemo(() => scoreOf(entries, growing, condition === 'completed'), [entries, growing, condition]);
  if (score.said === 0) return null;
  const isOver = condition === 'completed';
  return (
    <footer className="dock" aria-label="Course of the stream">
      <Clock view={view} />
      <Score score={score} kind={view.kind} voices={view.voices} playhead={null} onPick={onShow} />
      {following === false && !(isOver && unseen === 0)
        ? <button type="button" id="jump" className="button primary jump" onClick={onJump}><Icon name="down" />{isOver ? 'Jump to the end' : 'Jump to live'}{unseen > 0 && ` · ${unseen} new`}</button>
        : <span className="at-edge">{isOver ? 'Ended' : !isLinked ? '' : condition === 'paused' ? 'On hold' : 'At the live edge'}</span>}
    </footer>
  );
}

export function ReplayDock({ replay, onSeek }: { replay: Replay; onSeek: () => void }) {
  const { view, score, at, isPlaying, speed } = replay;
  const here = at ?? score.said;
  const move = (to: number | null) => {
    replay.seek(to !== null && to >= score.said ? null : to);
    onSeek();
  };
  /** Arrows go from speech to speech; the ends are the ends. */
  const step = (event: KeyboardEvent) => {
    const index = score.bars.findIndex((bar) => here < bar.to);
    const current = index < 0 ? score.bars.length : index;
    const moves: Record<string, number | null | undefined> = {
      ArrowRight: score.bars[current + 1]?.from ?? null, ArrowUp: score.bars[current + 1]?.from ?? null,
      ArrowLeft: (here > (score.bars[current]?.from ?? here) ? score.bars[current] : score.bars[current - 1])?.from ?? 0,
      ArrowDown: score.bars[current - 1]?.from ?? 0, Home: 0, End: null,
    };
    if (!(event.key in moves)) return;
    event.preventDefault();
    move(moves[event.key]!);
  };
  return (
    <footer className="dock" data-replay aria-label="History">
      <button type="button" className="icon-button play" aria-label={isPlaying ? 'Hold the replay' : 'Replay'} title={isPlaying ? 'Hold the replay' : 'Replay'}
        onClick={() => { replay.play(!isPlaying); onSeek(); }}><Icon name={isPlaying ? 'pause' : 'play'} /></button>
      <div className="scrubber">
        <Score score={score} kind={view.kind} voices={replay.fullVoices} playhead={at} onPick={null} />
        <input type="range" id="scrubber" min={0} max={score.said} step="any" value={here} aria-label="Place in the history"
          aria-valuetext={placeWords(view, score, at)} onKeyDown={step} onChange={(event) => move(event.currentTarget.valueAsNumber)} />
      </div>
      <div className="dock-end">
        <span className="place" id="place">{placeTime(replay)}</span>
        <label className="speed"><span className="visually-hidden">Speed</span>
          <select value={speed} onChange={(event) => replay.setSpeed(Number(event.currentTarget.value))}>
            {SPEEDS.map((value) => <option key={value} value={value}>{value}×</option>)}
          </select>
        </label>
      </div>
    </footer>
  );
}

function placeTime({ at, score, elapsed, length }: Replay) {
  if (elapsed === null || length === null) return at === null ? 'All of it' : `${Math.round((at / score.said) * 100)} %`;
  return <><b>{clockTime(elapsed)}</b> of {clockTime(length)}</>;
}

function placeWords(view: StreamView, score: ScoreData, at: number | null): string {
  if (at === null) return 'The end';
  const speaker = view.speaker === null ? null : view.voices[view.speaker]!.name;
  const part = `${Math.round((at / Math.max(1, score.said)) * 100)} %`;
  return [view.phase && spelled(view.phase), barAt(score, at) && speaker, part].filter(Boolean).join(' · ');
}
