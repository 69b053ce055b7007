/** What stands where there is no transcript yet, or after its end. */

import { useState, type ReactNode } from 'react';
import { refusalOf, steer } from '../api.ts';
import { HOME_URL } from '../route.ts';
import type { Followed } from '../stream/useStream.ts';
import type { Status } from '../stream/view.ts';
import { clockTime, counted, type Kind } from '../words.ts';

interface Props { kind: Kind; id: string; status: Status; stream: Followed }

export function Placeholder({ kind, id, status, stream }: Props) {
  const { view, error } = stream;
  const isBlank = view.entries.length === 0 && view.open.length === 0;
  if (status === 'completed') {
    const length = view.startedAt === null || view.lastAt === null ? '' : ` in ${clockTime(view.lastAt - view.startedAt)}`;
    return <Plate heading={`This ${kind} has ended`} words={`${counted(view.turnCount, 'turn')}${length}.`}><Elsewhere /></Plate>;
  }
  if (!isBlank) return null;
  switch (status) {
    case 'waiting': return (
      <Plate heading="Waiting for it to begin" words={`Nobody has published to this ${kind} yet. Keep the page open: it starts by itself as soon as somebody does.`}>
        <PlaySample kind={kind} id={id} /><Elsewhere />
      </Plate>
    );
    case 'refused': return (
      <Plate heading={error?.kind === 'auth' ? 'This is not open to you' : 'This can’t be watched'} words={refusalWords(error)}>
        <button type="button" className="button" onClick={stream.reconnect}>Try again</button><Elsewhere />
      </Plate>
    );
    case 'reconnecting': return (
      <Plate heading="No connection" words={`${error?.message ?? ''} The page keeps trying by itself.`}>
        <button type="button" className="button" onClick={stream.reconnect}>Try now</button><Elsewhere />
      </Plate>
    );
    case 'live': case 'paused': return <Plate heading="It has begun" words="The first words are on their way." />;
    default: return <Plate heading="Connecting…" words="" />;
  }
}

function refusalWords(error: Followed['error']): string {
  if (error?.kind === 'auth') return 'The server asks for a permission that this page does not have.';
  if (error?.status === 400) return 'No stream can have this id: letters, digits, - and _, up to 64 of them.';
  return error?.message ?? 'The server refused it.';
}

const Plate = ({ heading, words, children }: { heading: string; words: string; children?: ReactNode }) => (
  <section className="plate">
    <h2>{heading}</h2>
    {words && <p>{words}</p>}
    {children && <div className="actions">{children}</div>}
  </section>
);

const Elsewhere = () => <a className="button" href={HOME_URL}>See what else is on</a>;

function PlaySample({ kind, id }: { kind: Kind; id: string }) {
  const [refused, setRefused] = useState<string | null>(null);
  const [busy, setBusy] = useState(false);
  const play = async () => {
    setBusy(true);
    try {
      await steer(kind, id, 'launch');
    } catch (error) {
      const refusal = refusalOf(error);
      setRefused(refusal.isForbidden ? 'You may watch, but not start anything here.' : refusal.message);
    }
    setBusy(false);
  };
  return refused === null
    ? <button type="button" className="button primary" disabled={busy} onClick={play}>Play the sample here</button>
    : <p className="refused" role="status">{refused}</p>;
}
