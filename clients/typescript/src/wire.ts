/** How a stream's bytes come in. A wire is one connection: it tells what it hears, and of its end at most once. */

import type { StreamError } from './types.js';

export interface Wire {
  close(): void;
  /** Hears events of this type, too. */
  listen(type: string): void;
}

export type Problem = Omit<StreamError, 'at'>;

/**
 * - `waits`: lost, and the browser itself comes back
 * - `ended`: lost; `problem` is null after an orderly end, and `retryMs` what the server asked for
 * - `refused`: an EventSource was turned away, and was not told why
 * - `over`: the server says that there is nothing left to come back for
 */
export type Loss =
  | { how: 'waits' | 'refused' | 'over' }
  | { how: 'ended'; problem: Problem | null; retryMs: number | null };

export interface Listener {
  /** `id` as an EventSource tells it: the last one, for an event that has none. */
  event(type: string, data: string, id: string | null): void;
  /** A sign of life that is no event. */
  beat(): void;
  lost(loss: Loss): void;
}

/** The browser's own EventSource. Comments, its heartbeats on debates, stay invisible. */
export function eventSourceWire(Source: typeof EventSource, url: string, withCredentials: boolean, types: Iterable<string>, listener: Listener): Wire {
  const source = new Source(url, { withCredentials });
  const hear = (event: Event): void => {
    const { type, data, lastEventId } = event as MessageEvent<string | undefined>;
    // The failures of the connection share the name of a debate's own `error`, but carry nothing.
    if (data !== undefined) listener.event(type, data, lastEventId || null);
    else if (type === 'error') listener.lost({ how: source.readyState === 2 ? 'refused' : 'waits' });
  };
  const listen = (type: string): void => source.addEventListener(type, hear);
  for (const type of ['error', ...types]) listen(type);
  return { listen, close: () => source.close() };
}

/** What an answer that is no stream means. */
export function refusal({ ok, status }: { ok: boolean; status: number }): Problem {
  if (ok) return { kind: 'protocol', message: 'The answer is no event stream.', status, retryable: true };
  return {
    kind: status === 401 || status === 403 ? 'auth' : status === 404 || status === 410 ? 'gone' : 'http',
    message: `The server answered ${status}.`, status,
    retryable: status >= 500 || status === 408 || status === 429,
  };
}
