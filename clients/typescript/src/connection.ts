/**
 * One stream, followed: the wire, what is folded from it, and coming back when it is lost.
 *
 * Events are folded as they come and shown once a frame, so that any number of tokens is one render.
 */

import { Draft, eventTypes, finalType, initialState } from './fold.js';
import type { Kind, Link, States, StreamEvent, StreamOptions, StreamStatus, Streams } from './types.js';
import { type Listener, type Loss, type Problem, type Wire, eventSourceWire, refusal } from './wire.js';

type Fn = (data: unknown, id: string | null) => void;
type Timer = ReturnType<typeof setTimeout>;

/** Where nothing is drawn, a frame may never come. */
const FRAME_LATEST_MS = 100;
const OVER: readonly StreamStatus[] = ['complete', 'closed', 'failed'];

export class Connection<K extends Kind> {
  snapshot: Streams[K];

  readonly #kind: K;
  readonly #url: string;
  readonly #options: StreamOptions;
  readonly #subscribers = new Set<() => void>();
  readonly #handlers = new Map<string, Set<Fn>>();
  readonly #listeners = new Set<NonNullable<StreamOptions['onEvent']>>();
  #state: States[K];
  #draft: Draft<States[K]> | null = null;
  #link: Link = { status: 'idle', error: null, attempt: 0, nextRetryAt: null };
  #frame: { raf: number; timer: Timer } | null = null;
  #wire: Wire | null = null;
  #retry: Timer | undefined;
  #watch: ReturnType<typeof setInterval> | undefined;
  #isNative = false;
  #seenAt = 0;
  #tickAt = 0;
  #page: AbortController | null = null;

  constructor(kind: K, url: string, options: StreamOptions) {
    this.#kind = kind;
    this.#url = url;
    this.#options = options;
    this.#state = initialState(kind);
    this.snapshot = this.#view();
  }

  // What followers call ----------------------------------------------------------------------------

  subscribe(fn: () => void, onEvent?: StreamOptions['onEvent']): () => void {
    this.#subscribers.add(fn);
    if (onEvent) {
      this.#listeners.add(onEvent);
      if (this.#wire && this.#isNative && this.#needsFetch()) this.#open();
    }
    return () => {
      this.#subscribers.delete(fn);
      if (onEvent) this.#listeners.delete(onEvent);
    };
  }

  readonly on = (type: string, fn: Fn): (() => void) => {
    const handlers = this.#handlers.get(type) ?? new Set();
    this.#handlers.set(type, handlers.add(fn));
    this.#wire?.listen(type);
    return () => { handlers.delete(fn); };
  };

  readonly reconnect = (): void => {
    if (this.#page === null || this.#link.status === 'complete') return;
    this.#link = { ...this.#link, attempt: 0, error: null };
    this.#open();
  };

  readonly close = (): void => this.#end('closed', null);

  /** Begins to follow, unless it does. */
  start(): void {
    if (this.#page) return;
    this.#page = new AbortController();
    this.#watchPage(this.#page.signal);
    this.#open();
  }

  /** Stops for good. */
  stop(): void {
    this.#page?.abort();
    this.#page = null;
    this.#disconnect();
    this.#cancelFrame();
  }

  // Connecting -------------------------------------------------------------------------------------

  #needsFetch(): boolean {
    const { transport = 'auto', token, EventSource: Source = globalThis.EventSource } = this.#options;
    return transport === 'fetch' || (transport === 'auto' && (token !== undefined || this.#listeners.size > 0 || Source === undefined));
  }

  #open(): void {
    this.#disconnect();
    this.#seenAt = this.#tickAt = Date.now();
    this.#set({ status: this.#link.status === 'idle' ? 'connecting' : 'reconnecting', nextRetryAt: null });
    const { from = 'start', withCredentials = false, staleAfterMs = 35_000, EventSource: Source = globalThis.EventSource, token } = this.#options;
    const cursor = this.#now().lastEventId ?? (typeof from === 'object' ? from.lastEventId : from === 'start' ? 'earliest' : null);
    const url = `${this.#url}/stream${cursor === null ? '' : `?lastEventId=${encodeURIComponent(cursor)}`}`;

    let isCurrent = true;
    const only = <A extends unknown[]>(fn: (...args: A) => void) => (...args: A): void => { if (isCurrent) fn(...args); };
    const listener: Listener = {
      event: only((type, data, id) => this.#hear(type, data, id)),
      beat: only(() => { this.#seenAt = Date.now(); }),
      lost: only((loss) => void this.#lose(loss)),
    };
    this.#isNative = !this.#needsFetch();
    let wire: Wire | null = null;
    if (this.#isNative) {
      wire = eventSourceWire(Source, url, withCredentials, new Set([...eventTypes(this.#kind), ...this.#handlers.keys()]), listener);
    } else {
      const request = {
        fetch: this.#options.fetch ?? globalThis.fetch.bind(globalThis), withCredentials,
        token: token === undefined ? null : typeof token === 'function' ? token : () => token,
      };
      import('./fetch.js').then(
        only(({ fetchWire }) => { wire = fetchWire(url, request, listener); }),
        only(() => listener.lost({ how: 'ended', problem: { kind: 'network', message: 'The transport cannot be loaded.', retryable: true }, retryMs: null })),
      );
    }
    this.#wire = { listen: (type) => wire?.listen(type), close() { isCurrent = false; wire?.close(); } };
    this.#watch = setInterval(() => this.#tick(), staleAfterMs / 4);
  }

  #disconnect(): void {
    clearTimeout(this.#retry);
    clearInterval(this.#watch);
    this.#wire?.close();
    this.#wire = null;
  }

  #end(status: StreamStatus, problem: Problem | null): void {
    this.#disconnect();
    this.#set({ status, error: problem && { ...problem, at: Date.now() }, nextRetryAt: null });
  }

  // Losing it, and coming back ---------------------------------------------------------------------

  async #lose(loss: Loss): Promise<void> {
    if (loss.how === 'over') { this.#end('complete', null); return; }
    const attempt = this.#link.attempt + 1;
    const lostWire = this.#wire;
    this.#set({ status: 'reconnecting', attempt });
    let problem: Problem | null = loss.how === 'ended' ? loss.problem : null;
    if (loss.how === 'refused') {
      problem = await this.#diagnose();
      if (this.#wire !== lostWire) return;
      if (problem === null) { this.#end('complete', null); return; }
    }
    // The first loss says nothing yet: a connection that reached its age limit ends like this every hour.
    if (problem === null && attempt > 1 && this.#link.error?.kind !== 'server') problem = UNREACHABLE;
    const { retry = {} } = this.#options;
    const { minMs = 1_000, maxMs = 30_000, jitter = 0.5, maxAttempts = Infinity } = retry || { maxAttempts: 0 };
    if (attempt > maxAttempts || problem?.retryable === false) {
      this.#end('failed', { ...(problem ?? UNREACHABLE), retryable: false });
      return;
    }
    const error = problem ? { ...problem, at: Date.now() } : this.#link.error;
    if (loss.how === 'waits') { this.#set({ error }); return; }
    this.#disconnect();
    const first = (loss.how === 'ended' && loss.retryMs) || minMs;
    const wait = Math.min(maxMs, first * 2 ** (attempt - 1)) * (1 - jitter * Math.random());
    this.#set({ error, nextRetryAt: Date.now() + wait });
    this.#retry = setTimeout(() => this.#open(), wait);
  }

  /** Asks why an EventSource was turned away, over plain HTTP. Null: because the stream has ended. */
  async #diagnose(): Promise<Problem | null> {
    try {
      const response = await (this.#options.fetch ?? fetch)(this.#url, { cache: 'no-store', credentials: this.#options.withCredentials ? 'include' : 'same-origin' });
      // 404: nobody has published yet. The stream may be opened before that.
      if (!response.ok) return response.status === 404 ? UNREACHABLE : refusal(response);
      const { status, lastEventId } = await response.json() as { status?: unknown; lastEventId?: unknown };
      const { from } = this.#options;
      const cursor = this.#now().lastEventId ?? (typeof from === 'object' ? from.lastEventId : null);
      return status === 'completed' && lastEventId === cursor ? null : UNREACHABLE;
    } catch {
      return UNREACHABLE;
    }
  }

  /** Notices a connection that died without a word, as by sleep or by a change of network. */
  #tick(isSleepKnown = false): void {
    const { staleAfterMs = 35_000 } = this.#options;
    const now = Date.now();
    const slept = isSleepKnown || now - this.#tickAt > staleAfterMs;
    this.#tickAt = now;
    // An EventSource hides a debate's heartbeats: there, silence alone means nothing.
    const hearsBeats = !this.#isNative || this.#kind === 'conversation';
    if (this.#wire && now - this.#seenAt > staleAfterMs && (slept || hearsBeats)) this.#open();
  }

  #watchPage(signal: AbortSignal): void {
    if (typeof document === 'undefined') return;
    const mayConnect = (): boolean => !OVER.includes(this.#link.status);
    const again = (): void => { if (mayConnect()) this.#open(); };
    const hide = (): void => { if (mayConnect()) this.#disconnect(); };
    addEventListener('online', again, { signal });
    // A page with an open connection is not kept for the way back.
    addEventListener('pagehide', hide, { signal });
    addEventListener('pageshow', ({ persisted }) => { if (persisted) again(); }, { signal });
    document.addEventListener('visibilitychange', () => {
      if (!this.#options.pauseWhenHidden) { if (!document.hidden) this.#tick(true); return; }
      if (document.hidden) hide(); else again();
    }, { signal });
  }

  // Hearing ----------------------------------------------------------------------------------------

  #hear(type: string, json: string, id: string | null): void {
    this.#seenAt = Date.now();
    let data: unknown;
    try { data = JSON.parse(json); } catch {
      this.#set({ error: { kind: 'protocol', message: `An event of type ${type} is no JSON.`, retryable: false, at: Date.now() } });
      return;
    }
    this.#draft ??= new Draft(this.#state, this.#options.maxUtterances);
    const event = this.#draft.add({ type, data, id });
    if (event === null) return;
    if (type === 'busy') {
      const message = (data as { message?: unknown } | null)?.message;
      this.#link = { ...this.#link, error: { kind: 'server', message: String(message ?? 'The server is busy.'), retryable: true, at: Date.now() } };
    } else {
      this.#link = { ...this.#link, status: this.#draft.state.caughtUp ? 'open' : 'catching_up', attempt: 0, error: null, nextRetryAt: null };
    }
    this.#tell(event);
    if (type === finalType(this.#kind)) this.#end('complete', null);
    else this.#later();
  }

  #tell({ type, data, id }: StreamEvent): void {
    for (const fn of this.#handlers.get(type) ?? []) fn(data, id);
    for (const fn of this.#listeners) fn(type, data, id);
  }

  // Showing ----------------------------------------------------------------------------------------

  #now(): States[K] { return this.#draft?.state ?? this.#state; }

  #set(change: Partial<Link>): void {
    this.#link = { ...this.#link, ...change };
    this.#show();
  }

  #later(): void {
    if (this.#frame) return;
    const show = (): void => this.#show();
    const raf = typeof requestAnimationFrame === 'undefined' ? 0 : requestAnimationFrame(show);
    this.#frame = { raf, timer: setTimeout(show, raf ? FRAME_LATEST_MS : 16) };
  }

  #cancelFrame(): void {
    if (!this.#frame) return;
    if (this.#frame.raf) cancelAnimationFrame(this.#frame.raf);
    clearTimeout(this.#frame.timer);
    this.#frame = null;
  }

  #show(): void {
    this.#cancelFrame();
    this.#state = this.#now();
    this.#draft = null;
    this.snapshot = this.#view();
    for (const fn of this.#subscribers) fn();
  }

  #view(): Streams[K] {
    const { status } = this.#link;
    return Object.freeze({
      ...this.#state, ...this.#link, isConnected: status === 'open' || status === 'catching_up', paused: this.#state.stage === 'paused',
      currentPhase: this.#state.phase ?? '', reconnect: this.reconnect, close: this.close, on: this.on,
    }) as unknown as Streams[K];
  }
}

const UNREACHABLE: Problem = { kind: 'network', message: 'The server cannot be reached.', retryable: true };
