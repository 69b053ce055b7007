/** Beside the transcript: who takes part, the phases, what has been said so far. */

import { memo } from 'react';
import type { PhaseMark, StreamView } from '../stream/view.ts';
import { clockTime, spelled } from '../words.ts';
import { Cast } from './Cast.tsx';
import type { Growing } from './score.ts';

interface Props { view: StreamView; growing: readonly Growing[]; onShow: (key: string) => void }

export function Rail({ view, growing, onShow }: Props) {
  return (
    <>
      {view.summary !== null && view.kind === 'conversation' && <Summary words={view.summary} />}
      <Cast view={view} growing={growing} />
      <Phases entries={view.entries} startedAt={view.startedAt} isOver={view.condition === 'completed'} onShow={onShow} />
      {view.summary !== null && view.kind === 'debate' && <Summary words={view.summary} />}
    </>
  );
}

const Summary = ({ words }: { words: string }) => (
  <section className="summary" aria-labelledby="summary-heading">
    <h2 id="summary-heading">The story so far</h2>
    <p id="summary" dir="auto">{words}</p>
  </section>
);

interface PhasesProps extends Pick<StreamView, 'entries' | 'startedAt'> { isOver: boolean; onShow: (key: string) => void }

const Phases = memo(function Phases({ entries, startedAt, isOver, onShow }: PhasesProps) {
  const phases = entries.filter((entry): entry is PhaseMark => entry.kind === 'phase');
  if (phases.length === 0) return null;
  return (
    <nav aria-labelledby="phases-heading">
      <h2 id="phases-heading">Phases</h2>
      <ol className="phases">
        {phases.map(({ key, phase, at }, index) => {
          const isLast = index === phases.length - 1 && !isOver;
          return (
            <li key={key} data-now={isLast || undefined}>
              <button type="button" onClick={() => onShow(key)} aria-current={isLast ? 'step' : undefined}>
                <bdi>{spelled(phase)}</bdi>
                {at !== null && startedAt !== null && <time>{clockTime(at - startedAt)}</time>}
              </button>
            </li>
          );
        })}
      </ol>
    </nav>
  );
});
