/** The operator's page: who follows what, how fast it goes, who falls behind, and why connections end. */

import { useEffect, useRef } from 'react';
import { watchUrl } from '../route.ts';
import { Brand } from '../ui/Brand.tsx';
import { Signed } from '../ui/SignIn.tsx';
import { Status } from '../ui/Status.tsx';
import { ThemeButton } from '../ui/Theme.tsx';
import { ago, spelled } from '../words.ts';
import { Chart } from './Chart.tsx';
import { SAMPLES_A_MINUTE, timeOf, useStats, type Figures } from './useStats.ts';

const rounded = (value: number) => (value === 0 ? '0' : value < 10 ? value.toFixed(1) : Math.round(value).toLocaleString('en'));

/** A time that is known by the power of two that it stayed under. */
const under = (ms: number | null) => (ms === null ? '–' : ms < 1024 ? `<\u00a0${ms}\u00a0ms` : `<\u00a0${Math.ceil(ms / 1000)}\u00a0s`);

function timesNote(publishMs: Record<string, number>) {
  const [half, most] = [timeOf(.5, publishMs), timeOf(.99, publishMs)];
  return half === null ? 'nothing stored since the start' : `in the last minute; of all, half ${under(half)}, 99\u00a0% ${under(most)}`;
}

export function Operator() {
  const figures = useStats();
  const heading = useRef<HTMLHeadingElement>(null);
  useEffect(() => {
    document.title = 'Operator · ClearSide';
    heading.current?.focus({ preventScroll: true });
  }, []);
  return (
    <div className="home operator">
      <header className="masthead">
        <Brand />
        <Signed />
        <ThemeButton />
      </header>
      <main id="main" tabIndex={-1}>
        <div className="operator-head">
          <h1 ref={heading} tabIndex={-1}>Operator</h1>
          <Health figures={figures} />
        </div>
        {figures.forbidden && <p className="notice" role="status">These figures are not open to you.</p>}
        {figures.stats && <Overview figures={figures} />}
        {figures.stats && <Streams rows={figures.rows} />}
        {figures.stats?.totals && <Connections totals={figures.stats.totals} />}
      </main>
    </div>
  );
}

function Health({ figures: { ready, problem, forbidden } }: { figures: Figures }) {
  if (forbidden) return null;
  const [state, words] = problem !== null ? ['reconnecting', problem] : ready === null ? ['connecting', 'Asking…']
    : ready ? ['ready', 'Ready'] : ['reconnecting', 'Not ready: the database does not answer, or a shutdown has begun'];
  return <p className="health" role="status"><span className="status" data-status={state}>{words}</span></p>;
}

function Overview({ figures: { stats, samples } }: { figures: Figures }) {
  const { debates, conversations, totals } = stats!;
  const last = samples.at(-1)!;
  const slowest = samples.slice(-SAMPLES_A_MINUTE).reduce<number | null>((most, { slowestMs }) => (slowestMs === null ? most : Math.max(most ?? 0, slowestMs)), null);
  return (
    <section className="figures" aria-label="Now">
      <Chart label="Followers" value={last.followers.toLocaleString('en')} note={`${debates.clients} of debates, ${conversations.clients} of conversations`} samples={samples.map((sample) => sample.followers)} />
      <Chart label="Behind now" value={last.behind.toLocaleString('en')} note={totals ? `fell behind ${totals.fellBehind.toLocaleString('en')} times, ${totals.gaps.toLocaleString('en')} gaps told since the start` : ''} samples={samples.map((sample) => sample.behind)} />
      <Chart label="Streams followed" value={String(debates.count + conversations.count)} note={`${debates.active + conversations.active} in memory`} samples={samples.map((sample) => sample.streams)} />
      {totals && <Chart label="Stored events/s" value={rounded(last.events)} note={`${totals.events.toLocaleString('en')} since the start`} samples={samples.map((sample) => sample.events)} />}
      {totals && <Chart label="Tokens/s" value={rounded(last.tokens)} note={`${totals.transientEvents.toLocaleString('en')} since the start`} samples={samples.map((sample) => sample.tokens)} />}
      {totals && <Chart label="Slowest publish" value={under(slowest)} note={timesNote(totals.publishMs)} samples={samples.map((sample) => sample.slowestMs ?? 0)} />}
      {totals && <Chart label="History reads/s" value={rounded(last.catchUps)} note={`${totals.catchUps.toLocaleString('en')} since the start, by followers behind the live edge`} samples={samples.map((sample) => sample.catchUps)} />}
    </section>
  );
}

function Streams({ rows }: { rows: Figures['rows'] }) {
  return (
    <section aria-labelledby="streams-heading">
      <h2 id="streams-heading">Streams</h2>
      {rows === null ? <p className="none">Your token opens no list of streams.</p> : rows.length === 0 ? <p className="none">Nothing has been published yet.</p> : (
        <div className="table-scroll" tabIndex={0} role="region" aria-label="Table of streams">
          <table className="streams-table">
            <thead><tr><th scope="col">Stream</th><th scope="col">State</th><th scope="col" className="number">Followers</th><th scope="col" className="number">Events/s</th><th scope="col" className="number">Stored</th><th scope="col">Last event</th></tr></thead>
            <tbody>
              {rows.map((row) => (
                <tr key={`${row.kind}/${row.id}`}>
                  <th scope="row"><a href={watchUrl(row.kind, row.id)}><bdi className="table-title">{row.title ?? row.id}</bdi></a><span className="table-id">{row.kind} · {row.id}</span></th>
                  <td><Status status={row.status} /></td>
                  <td className="number">{row.subscribers.toLocaleString('en')}</td>
                  <td className="number">{row.rate === null ? '–' : rounded(row.rate)}</td>
                  <td className="number">{row.events.toLocaleString('en')}</td>
                  <td>{row.lastActivityAt === null ? '–' : ago(row.lastActivityAt, Date.now())}</td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      )}
    </section>
  );
}

const REASONS: Record<string, string> = {
  closed_by_client: 'Closed by the client, or it was gone', completed: 'The stream ended', age_limit: 'Old enough: asked to come back', auth_expired: 'The token had expired',
  shutting_down: 'The server shut down', unavailable: 'The history could not be read',
  full: 'Too many connections', poll_storm: 'Polled for nothing',
};

function Connections({ totals }: { totals: NonNullable<NonNullable<Figures['stats']>['totals']> }) {
  return (
    <section aria-labelledby="ends-heading" className="ends">
      <h2 id="ends-heading">Connections since the start</h2>
      <p className="ends-sum"><b>{totals.connections.toLocaleString('en')}</b> taken in</p>
      <Reasons heading="Ended" counts={totals.disconnects} />
      <Reasons heading="Turned away" counts={totals.refusals} />
    </section>
  );
}

function Reasons({ heading, counts }: { heading: string; counts: Record<string, number> }) {
  const all = Object.entries(counts).sort(([, a], [, b]) => b - a);
  const sum = all.reduce((total, [, count]) => total + count, 0);
  return (
    <div className="reasons">
      <h3>{heading} <span className="count">{sum.toLocaleString('en')}</span></h3>
      {sum === 0 ? <p className="none">None.</p> : (
        <dl>
          {all.filter(([, count]) => count > 0).map(([reason, count]) => (
            <div key={reason}><dt>{REASONS[reason] ?? spelled(reason)}</dt><dd>{count.toLocaleString('en')}</dd><i aria-hidden="true" style={{ width: `${(count / sum) * 100}%` }} /></div>
          ))}
        </dl>
      )}
    </div>
  );
}
