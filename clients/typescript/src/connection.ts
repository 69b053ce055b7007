/**
 * One stream, followed: the wire, what is folded from it, and coming back when it is lost.
 *
 * Events are folded as they come and shown once a frame, so that any number of tokens is one render.
 */

import { Draft, eventTypes, initialState } from './fold.js';
import { mayShare, watchPage } from './page.js';
import type { Tabs } from './tabs.js';
import type { Kind, Link, States, StreamError, StreamEvent, StreamOptions, StreamStatus, Streams } from './types.js';
import { type Listener, type Loss, type Wire, eventSourceWire } from './wire.js';

type Fn = (data: unknown, id: string | null) => void;
type OnEvent = NonNullable<StreamOptions['onEvent']>;

export interface Connection<K extends Kind> {
  snapshot(): Streams[K];
  subscribe(fn: () => void, onEvent?: OnEvent): () => void;
  on(type: string, fn: Fn): () => void;
  reconnect(): void;
  close(): void;
  /** Lets go of everything. Nobody follows any more. */
  stop(): void;
}

/** Where nothing is drawn, a frame may never come. */
const LATEST_FRAME_MS = 100;
const LOST = { kind: 'network', message: 'The connection is lost.' } as const;
const FINAL = { debate: 'complete', conversation: 'conversation_completed' };

/** Follows the stream at this address. */
export function connect<K extends Kind>(kind: K, address: string, options: StreamOptions): Connection<K> {
  const {
    from = 'start', transport = 'auto', token, withCredentials = false, staleAfterMs = 35_000, retry = {}, maxUtterances,
    EventSource: Source = globalThis.EventSource,
  } = options;
  const subscribers = new Set<() => void>();
  const handlers = new Map<string, Set<Fn>>();
  const listeners = new Set<OnEvent>();
  let wantsAll = !!options.onEvent;

  let state = initialState(kind);
  let draft: Draft<States[K]> | null = null;
  let link: Link = { status: 'connecting', error: null, attempt: 0, nextRetryAt: null };
  let snapshot: Streams[K];
  let frame: object | null = null;

  let wire: Wire | null = null;
  let tabs: Tabs | null = null;
  let joining: object | null = null;
  let isNative = false;
  /** The EventSource was turned away and not told why: `fetch` is. */
  let isRefused = false;
  let isBusy = false;
  let seenAt = 0;
  let retryTimer: ReturnType<typeof setTimeout> | undefined;

  // Connecting -------------------------------------------------------------------------------------

  /** The stream, from where this page has come to. */
  function url(): string {
    const cursor = now().lastEventId ?? (typeof from === 'object' ? from.lastEventId : from === 'start' && 'earliest');
    return `${address}/stream${cursor ? `?lastEventId=${encodeURIComponent(cursor)}` : ''}`;
  }

  /** Connects, or has another tab do it. */
  function open(): void {
    if (tabs) tabs.open();
    else if (wantsAll || !mayShare(options)) dial();
    else {
      const mine = joining = {};
      import('./tabs.js').then(({ joinTabs }) => {
        if (joining === mine) tabs ??= joinTabs(`${address} ${JSON.stringify(from)}`, { dial, disconnect, now, link: () => link, hear, set });
      }).catch(dial);
    }
  }

  function dial(): void {
    disconnect();
    isNative = transport === 'eventsource' || (transport === 'auto' && !!Source && !token && !wantsAll && !isRefused);
    beat();

    let isCurrent = true;
    const only = <A extends unknown[]>(fn: (...args: A) => void) => (...args: A): void => { if (isCurrent) fn(...args); };
    const listener: Listener = { event: only((type, data, id) => hear({ type, data: parsed(data), id })), beat: only(beat), lost: only(lose) };
    let inner: Wire | undefined;
    wire = {
      listen: (type) => inner?.listen(type),
      close() { isCurrent = false; inner?.close(); },
    };
    if (isNative) inner = eventSourceWire(Source, url(), withCredentials, [...eventTypes(kind), ...handlers.keys()], listener);
    else {
      import('./fetch.js').then(
        only(({ fetchWire }) => { inner = fetchWire(url(), options, listener); }),
        () => {
          isRefused = false;
          listener.lost({ how: 'ended', problem: LOST });
        },
      );
    }
    // Last: whoever is told may close it.
    set({ status: link.status === 'connecting' ? 'connecting' : 'reconnecting', nextRetryAt: null });
  }

  function disconnect(): void {
    clearTimeout(retryTimer);
    wire?.close();
    wire = null;
  }

  function leave(): void {
    disconnect();
    tabs?.leave();
    tabs = joining = null;
  }

  function end(status: StreamStatus, error: StreamError | null = null): void {
    leave();
    set({ status, error, nextRetryAt: null });
  }

  function reconnect(): void {
    if (link.status === 'complete') return;
    link = { ...link, attempt: 0, error: null };
    open();
  }

  // Losing it, and coming back ---------------------------------------------------------------------

  function lose({ how, problem, retryMs }: Loss): void {
    if (how === 'over') { end('complete'); return; }
    if (how === 'refused' && transport === 'auto') {
      isRefused = true;
      dial();
      return;
    }
    const attempt = link.attempt + 1;
    const { minMs = 1_000, maxMs = 30_000, jitter = 0.5, maxAttempts = Infinity } = retry || { maxAttempts: 0 };
    const isFinal = attempt > maxAttempts || problem?.retryable === false;
    // The first loss says nothing yet: a connection that reached its age limit ends like this every hour.
    const isSilent = isBusy || !(problem || attempt > 1 || isFinal);
    const error = isSilent ? link.error : { ...LOST, ...problem, retryable: !isFinal, at: Date.now() };
    isBusy = false;
    if (isFinal) { end('failed', error); return; }
    if (how === 'waits') set({ status: 'reconnecting', attempt, error });
    else {
      const wait = Math.min(maxMs, (retryMs || minMs) * 2 ** link.attempt) * (1 - jitter * Math.random());
      disconnect();
      retryTimer = setTimeout(dial, wait);
      set({ status: 'reconnecting', attempt, error, nextRetryAt: Date.now() + wait });
    }
  }

  const unwatch = watchPage({
    staleAfterMs,
    pauseWhenHidden: options.pauseWhenHidden,
    again() { if (!isOver()) open(); },
    leave,
    // An EventSource hides a debate's heartbeats: there, silence alone means nothing.
    check(hasSlept) {
      tabs?.check();
      if (wire && Date.now() - seenAt > staleAfterMs && (hasSlept || !isNative || kind === 'conversation')) dial();
    },
  });

  const isOver = (): boolean => ['complete', 'closed', 'failed'].includes(link.status);

  // Hearing ----------------------------------------------------------------------------------------

  function beat(): void { seenAt = Date.now(); }

  function hear(told: StreamEvent): void {
    beat();
    draft ??= new Draft(state, maxUtterances);
    const event = draft.add(told);
    if (!event) return;
    const { type } = event;
    tabs?.tell({ event: told });
    isBusy = type === 'busy';
    isRefused &&= isBusy;
    link = isBusy ? { ...link, error: { kind: 'server', message: 'The server is busy.', retryable: true, at: Date.now() } }
      : { status: draft.state.caughtUp ? 'open' : 'catching_up', attempt: 0, error: null, nextRetryAt: null };
    showSoon(); // first: what is not ours may throw
    handlers.get(type)?.forEach((fn) => fn(event.data, event.id));
    listeners.forEach((fn) => fn(type, event.data, event.id));
    if (type === FINAL[kind]) end('complete');
  }

  // Showing ----------------------------------------------------------------------------------------

  function now(): States[K] { return draft?.state ?? state; }

  function set(change: Partial<Link>): void {
    link = { ...link, ...change };
    tabs?.tell({ link });
    show();
  }

  function showSoon(): void {
    if (frame) return;
    const mine = frame = {};
    const due = (): void => { if (frame === mine) show(); };
    setTimeout(due, globalThis.requestAnimationFrame?.(due) ? LATEST_FRAME_MS : 16);
  }

  function show(): void {
    frame = null;
    state = now();
    draft = null;
    snapshot = view(state, link, followed);
    subscribers.forEach((fn) => fn());
  }

  // What followers call ----------------------------------------------------------------------------

  const followed: Connection<K> = {
    snapshot: () => snapshot,
    subscribe(fn, onEvent) {
      subscribers.add(fn);
      if (onEvent) {
        listeners.add(onEvent);
        if (!wantsAll) {
          wantsAll = true;
          leave();
          open();
        }
      }
      return () => {
        subscribers.delete(fn);
        if (onEvent) listeners.delete(onEvent);
      };
    },
    on(type, fn) {
      const fns = handlers.get(type) ?? new Set();
      handlers.set(type, fns.add(fn));
      wire?.listen(type);
      return () => { fns.delete(fn); };
    },
    reconnect,
    close: () => end('closed'),
    stop() {
      unwatch();
      leave();
    },
  };
  open();
  return followed;
}

/** What a follower sees. */
export function view<K extends Kind>(state: States[K], link: Link, { reconnect, close, on }: Pick<Connection<K>, 'reconnect' | 'close' | 'on'>): Streams[K] {
  return {
    ...state, ...link, isConnected: link.status === 'open' || link.status === 'catching_up', paused: state.stage === 'paused',
    currentPhase: state.phase ?? '', reconnect, close, on,
  } as unknown as Streams[K];
}

/** What is no JSON is taken for text. */
function parsed(json: string): unknown {
  try { return JSON.parse(json); } catch { return json; }
}
