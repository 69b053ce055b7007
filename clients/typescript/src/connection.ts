/**
 * One stream, followed: the wire, what is folded from it, and coming back when it is lost.
 *
 * Events are folded as they come and shown once a frame, so that any number of tokens is one render.
 */

import { Draft, eventTypes, initialState } from './fold.js';
import { isAway, mayShare, watchPage } from './page.js';
import type { Tabs } from './tabs.js';
import type { Kind, Link, States, StreamError, StreamEvent, StreamOptions, StreamStatus, Streams } from './types.js';
import { type Listener, type Loss, type Wire, eventSourceWire } from './wire.js';

type Fn = (data: unknown, id: string | null) => void;
type OnEvent = NonNullable<StreamOptions['onEvent']>;

/** What a snapshot carries along. */
interface Controls {
  on(type: string, fn: Fn): () => void;
  reconnect(): void;
  close(): void;
}

export interface Connection<K extends Kind> extends Controls {
  snapshot(): Streams[K];
  subscribe(fn: () => void, onEvent?: OnEvent): () => void;
  /** Lets go of everything. Nobody follows any more. */
  stop(): void;
}

/** Where nothing is drawn, a frame may never come. */
const LATEST_FRAME_MS = 100;
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

  let draft = new Draft(initialState(kind), maxUtterances);
  let link = linked('connecting');
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
    const cursor = draft.state.lastEventId ?? (typeof from === 'object' ? from.lastEventId : from === 'start' && 'earliest');
    return `${address}/stream${cursor ? `?lastEventId=${encodeURIComponent(cursor)}` : ''}`;
  }

  /** Connects, or has another tab do it. */
  function open(): void {
    if (['complete', 'closed', 'failed'].includes(link.status) || isAway(options)) return;
    if (tabs) tabs.open();
    else if (wantsAll || !mayShare(options)) dial();
    else {
      const mine = joining = {};
      import('./tabs.js').then(({ joinTabs }) => {
        // Who leads tells the others what it has: it begins where they do, and keeps as much.
        if (joining === mine) tabs = joinTabs(JSON.stringify([address, from, maxUtterances]), { dial, disconnect, now: () => draft.state, link: () => link, hear, set });
      }).catch(() => { if (joining === mine) dial(); });
    }
  }

  function dial(): void {
    disconnect();
    isNative = transport === 'eventsource' || (transport === 'auto' && !!Source && !token && !wantsAll && !isRefused);
    beat();

    let inner: Wire | undefined;
    const mine: Wire = wire = { listen: (type) => inner?.listen(type), close: () => inner?.close() };
    const only = <A extends unknown[]>(fn: (...args: A) => void) => (...args: A): void => { if (wire === mine) fn(...args); };
    const listener: Listener = { event: only((type, data, id) => hear({ type, data: parsed(data), id })), beat: only(beat), lost: only(lose) };
    if (isNative) inner = eventSourceWire(Source, url(), withCredentials, [...eventTypes(kind), ...handlers.keys()], listener);
    else {
      import('./fetch.js').then(
        only(({ fetchWire }) => { inner = fetchWire(url(), options, listener); }),
        () => {
          isRefused = false;
          listener.lost({ how: 'ended', problem: {} });
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
    link = linked('reconnecting');
    open();
    show();
  }

  // Losing it, and coming back ---------------------------------------------------------------------

  function lose({ how, problem, retryMs }: Loss): void {
    if (how === 'over') return end('complete');
    if (how === 'refused' && transport === 'auto') {
      isRefused = true;
      return dial();
    }
    const { minMs = 1_000, maxMs = 30_000, jitter = 0.5, maxAttempts = Infinity } = retry || { maxAttempts: 0 };
    const wait = Math.min(maxMs, (retryMs || minMs) * 2 ** link.attempt) * (1 - jitter * Math.random());
    const attempt = link.attempt + 1;
    const isFinal = attempt > maxAttempts || problem?.retryable === false;
    // The first loss says nothing yet: a connection that reached its age limit ends like this every hour.
    const isSilent = isBusy || !(problem || attempt > 1 || isFinal);
    const error = isSilent ? link.error : trouble({ ...problem, retryable: !isFinal });
    isBusy = false;
    if (isFinal) end('failed', error);
    else if (how === 'waits') set({ status: 'reconnecting', attempt, error });
    else {
      disconnect();
      retryTimer = setTimeout(dial, wait);
      set({ status: 'reconnecting', attempt, error, nextRetryAt: Date.now() + wait });
    }
  }

  const unwatch = watchPage(staleAfterMs, options, {
    again: open,
    leave,
    // An EventSource hides a debate's heartbeats: there, silence alone means nothing.
    check(hasSlept) {
      tabs?.check();
      if (wire && Date.now() - seenAt > staleAfterMs && (hasSlept || !isNative || kind === 'conversation')) dial();
    },
  });

  // Hearing ----------------------------------------------------------------------------------------

  function beat(): void { seenAt = Date.now(); }

  function hear(told: StreamEvent): void {
    beat();
    const event = draft.add(told);
    if (!event) return;
    const { type } = event;
    tabs?.tell({ event: told });
    isBusy = type === 'busy';
    isRefused &&= isBusy;
    link = isBusy ? { ...link, error: trouble({ kind: 'server', message: 'The server is busy.' }) }
      : linked(draft.state.caughtUp ? 'open' : 'catching_up');
    showSoon(); // first: what is not ours may throw
    handlers.get(type)?.forEach((fn) => fn(event.data, event.id));
    listeners.forEach((fn) => fn(type, event.data, event.id));
    if (type === FINAL[kind]) end('complete');
  }

  // Showing ----------------------------------------------------------------------------------------

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
    const { state } = draft;
    draft = new Draft(state, maxUtterances); // what was shown stays as it is
    snapshot = view(state, link, controls);
    subscribers.forEach((fn) => fn());
  }

  // What followers call ----------------------------------------------------------------------------

  const controls: Controls = {
    reconnect,
    close: () => end('closed'),
    on(type, fn) {
      const fns = handlers.get(type) ?? new Set();
      handlers.set(type, fns.add(fn));
      wire?.listen(type);
      return () => { fns.delete(fn); };
    },
  };
  show(); // another tab's answer may be long in coming
  open();
  return {
    ...controls,
    snapshot: () => snapshot,
    subscribe(fn, onEvent) {
      subscribers.add(fn);
      if (onEvent) listeners.add(onEvent);
      if (onEvent && !wantsAll) {
        wantsAll = true;
        leave();
        open();
      }
      return () => {
        subscribers.delete(fn);
        if (onEvent) listeners.delete(onEvent);
      };
    },
    stop() {
      unwatch();
      leave();
    },
  };
}

/** By default, that the connection is lost. */
const trouble = (what: Partial<StreamError>): StreamError =>
  ({ kind: 'network', message: 'The connection is lost.', retryable: true, at: Date.now(), ...what });

/** A connection without trouble. */
export const linked = (status: StreamStatus): Link => ({ status, error: null, attempt: 0, nextRetryAt: null });

/** What a follower sees. */
export function view<K extends Kind>(state: States[K], link: Link, controls: Controls): Streams[K] {
  return {
    ...state, ...link, isConnected: link.status === 'open' || link.status === 'catching_up', paused: state.stage === 'paused',
    currentPhase: state.phase ?? '', ...controls,
  } as unknown as Streams[K];
}

/** What is no JSON is taken for text. */
function parsed(json: string): unknown {
  try { return JSON.parse(json); } catch { return json; }
}
