/** The score, drawn: for above the line, against below it, the moderator on it; a lane for each guest. */

import { memo, type MouseEvent } from 'react';
import type { StreamView, Voice } from '../stream/view.ts';
import { look } from '../ui/Mark.tsx';
import { spelled } from '../words.ts';
import type { Bar, Score as ScoreData } from './score.ts';

const LANES_MAX = 6;
const percent = (part: number) => `${(part * 100).toFixed(3)}%`;

interface Props {
  score: ScoreData;
  kind: StreamView['kind'];
  voices: StreamView['voices'];
  /** Where the reader is on the score of a finished stream; null: at the live edge. */
  playhead: number | null;
  onPick: ((key: string) => void) | null;
}

export const Score = memo(function Score({ score, kind, voices, playhead, onPick }: Props) {
  const lanes = kind === 'debate' ? 0 : Math.min(LANES_MAX, Math.max(1, voices.length));
  const pick = (event: MouseEvent<HTMLElement>) => {
    const key = event.target instanceof HTMLElement ? event.target.dataset.key : undefined;
    if (key && onPick) onPick(key);
  };
  return (
    <div className="score" data-kind={kind} onClick={pick} aria-hidden="true">
      <div className="score-sections">
        {score.sections.map((section) => (
          <span key={section.key} data-key={section.key} style={{ left: percent(section.from / score.extent), width: percent((section.to - section.from) / score.extent) }}>
            {spelled(section.phase)}
          </span>
        ))}
      </div>
      <div className="score-bars">
        {score.bars.map((bar) => <BarMark key={bar.key} bar={bar} extent={score.extent} voice={voices[bar.voice]!} lane={lanes === 0 ? null : [bar.voice % lanes, lanes]} isPast={playhead === null || bar.from < playhead} />)}
        {playhead !== null && <span className="playhead" style={{ left: percent(Math.min(1, playhead / score.extent)) }} />}
      </div>
    </div>
  );
});

interface BarProps { bar: Bar; extent: number; voice: Voice; lane: readonly [number, number] | null; isPast: boolean }

function BarMark({ bar, extent, voice, lane, isPast }: BarProps) {
  return (
    <i
      data-key={bar.growing ? undefined : bar.key}
      data-manner={bar.interjection ? 'interjection' : bar.interrupted ? 'interrupted' : undefined}
      data-growing={bar.growing || undefined}
      data-ahead={!isPast || undefined}
      {...look(voice)}
      style={{
        left: percent(bar.from / extent), width: percent((bar.to - bar.from) / extent),
        ...(lane && { top: percent(lane[0] / lane[1]), height: percent(1 / lane[1]) }),
      }}
    />
  );
}
