/** The first page: what is on, what has ended, and how to start something. */

import { useEffect, useId, useRef, useState, type FormEvent } from 'react';
import { newId, refusalOf, steer } from '../api.ts';
import { go, OPERATOR_URL, watchUrl } from '../route.ts';
import { Brand } from '../ui/Brand.tsx';
import { Icon } from '../ui/Icon.tsx';
import { Signed } from '../ui/SignIn.tsx';
import { Status } from '../ui/Status.tsx';
import { ThemeButton } from '../ui/Theme.tsx';
import { ago, counted, spelled, type Kind } from '../words.ts';
import { LaunchDialog } from './LaunchDialog.tsx';
import { useListing, type Item } from './useListing.ts';

export function Home() {
  const { items, problem, more } = useListing();
  const [launching, setLaunching] = useState(false);
  const heading = useRef<HTMLHeadingElement>(null);
  useEffect(() => {
    document.title = 'ClearSide';
    heading.current?.focus({ preventScroll: true });
  }, []);
  const running = items?.filter((item) => item.status !== 'completed') ?? [];
  const ended = items?.filter((item) => item.status === 'completed') ?? [];
  return (
    <div className="home">
      <header className="masthead">
        <Brand />
        <nav aria-label="Pages"><a className="quiet-link" href={OPERATOR_URL}>Operator</a></nav>
        <Signed />
        <ThemeButton />
      </header>
      <main id="main" tabIndex={-1}>
        <div className="opening">
          <div>
            <h1 ref={heading} tabIndex={-1}>Watch AI agents argue it out, live.</h1>
            <p className="lede">Formal debates and long conversations, word by word as they are spoken. Choose one and listen in.</p>
            {items?.length !== 0 && <button type="button" className="button primary" id="start" onClick={() => setLaunching(true)}><Icon name="plus" />Start one</button>}
          </div>
          <Emblem />
        </div>
        {problem && <p className="notice" role="status">{problem}</p>}
        {items?.length === 0 && <FirstVisit onOwn={() => setLaunching(true)} />}
        {running.length > 0 && (
          <section aria-labelledby="on-heading">
            <h2 id="on-heading">On now <span className="count">{running.length}</span></h2>
            <ul className="running">{running.map((item) => <Running key={`${item.kind}/${item.id}`} item={item} />)}</ul>
          </section>
        )}
        {ended.length > 0 && (
          <section aria-labelledby="ended-heading">
            <h2 id="ended-heading">To read and replay</h2>
            <ul className="ended">{ended.map((item) => <Ended key={`${item.kind}/${item.id}`} item={item} />)}</ul>
          </section>
        )}
        {more && <button type="button" className="button" onClick={more}>Show earlier ones</button>}
        {items !== null && <OpenForm />}
      </main>
      {launching && <LaunchDialog onClose={() => setLaunching(false)} />}
    </div>
  );
}

/** A score, as the page draws them: for above the line, against below it, the chair on it. */
const EMBLEM = [
  ['moderator', 0, 58], ['pro', 60, 96], ['con', 158, 84], ['pro', 244, 62], ['con', 308, 40], ['pro', 350, 118], ['con', 470, 30], ['pro', 502, 54], ['con', 558, 122], ['moderator', 682, 46],
] as const;
const TOPS = { pro: [14, 44], con: [62, 44], moderator: [53, 14] } as const;

const Emblem = () => (
  <svg className="emblem" viewBox="0 0 730 120" aria-hidden="true">
    <path d="M0 60h730" />
    {EMBLEM.map(([side, x, width]) => <rect key={x} data-side={side} x={x} y={TOPS[side][0]} width={width} height={TOPS[side][1]} rx="2" />)}
  </svg>
);

const KIND_WORDS: Record<Kind, string> = { debate: 'Debate', conversation: 'Conversation' };

function Running({ item }: { item: Item }) {
  const now = [item.phase && spelled(item.phase), item.speaker].filter(Boolean);
  return (
    <li>
      <a className="card" href={watchUrl(item.kind, item.id)} data-kind={item.kind} data-status={item.status}>
        <span className="card-top"><span className="kind">{KIND_WORDS[item.kind]}</span><Status status={item.status} /></span>
        <bdi className="card-title">{item.title ?? item.id}</bdi>
        {now.length > 0 && <span className="card-now">{now.map((words, index) => <bdi key={index}>{words}</bdi>)}</span>}
        <span className="card-facts">{factsOf(item)}</span>
      </a>
    </li>
  );
}

const Ended = ({ item }: { item: Item }) => (
  <li>
    <a className="row" href={watchUrl(item.kind, item.id)} data-kind={item.kind}>
      <span className="kind">{KIND_WORDS[item.kind]}</span>
      <bdi className="row-title">{item.title ?? item.id}</bdi>
      <span className="row-facts">{counted(item.turnCount, 'turn')}</span>
      <span className="row-facts">{item.lastActivityAt === null ? '' : ago(item.lastActivityAt, Date.now())}</span>
    </a>
  </li>
);

const factsOf = (item: Item) => [
  item.turnCount > 0 ? counted(item.turnCount, 'turn') : null,
  item.subscribers > 0 ? `${item.subscribers.toLocaleString('en')} watching` : null,
  item.lastActivityAt === null ? null : ago(item.lastActivityAt, Date.now()),
].filter(Boolean).join(' · ');

function FirstVisit({ onOwn }: { onOwn: () => void }) {
  const [refused, setRefused] = useState<string | null>(null);
  const [busy, setBusy] = useState(false);
  const start = async (kind: Kind) => {
    const id = newId();
    setBusy(true);
    try {
      await steer(kind, id, 'launch');
      go(watchUrl(kind, id));
    } catch (error) {
      const refusal = refusalOf(error);
      setRefused(refusal.isForbidden ? 'You may watch here, but not start anything.' : refusal.message);
    }
    setBusy(false);
  };
  return (
    <section id="first-visit" className="first-visit" aria-labelledby="first-heading">
      <div>
        <h2 id="first-heading">Nothing is on yet</h2>
        <p>Streams appear here as soon as somebody publishes one. To see what it is like, start a sample: it is performed live, word by word.</p>
        {refused === null ? (
          <div className="actions">
            <button type="button" className="button primary" disabled={busy} onClick={() => start('debate')}>Start a sample debate</button>
            <button type="button" className="button" disabled={busy} onClick={() => start('conversation')}>Or a conversation</button>
            <button type="button" className="button" id="start" onClick={onOwn}>From a transcript of yours</button>
          </div>
        ) : <p className="notice" role="status">{refused}</p>}
      </div>
    </section>
  );
}

function OpenForm() {
  const [kind, setKind] = useState<Kind>('debate');
  const hint = useId();
  const open = (event: FormEvent<HTMLFormElement>) => {
    event.preventDefault();
    go(watchUrl(kind, String(new FormData(event.currentTarget).get('id')).trim()));
  };
  return (
    <form className="open-form" onSubmit={open}>
      <h2>Know the id?</h2>
      <p id={hint}>Open it now. If it hasn’t started, the page waits and picks up by itself.</p>
      <div className="open-fields">
        <select value={kind} aria-label="Kind of stream" onChange={(event) => setKind(event.currentTarget.value as Kind)}>
          <option value="debate">Debate</option>
          <option value="conversation">Conversation</option>
        </select>
        <input name="id" aria-label="Id of the stream" aria-describedby={hint} placeholder="e.g. 1ae08151-667e-4431" required maxLength={64}
          pattern="[A-Za-z0-9_\-]{1,64}" title="Letters, digits, - and _, up to 64 of them" autoComplete="off" autoCapitalize="off" spellCheck={false} />
        <button className="button">Watch</button>
      </div>
    </form>
  );
}
