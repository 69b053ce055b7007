/** How a stream's bytes come in. A wire is one connection: it tells what it hears, and then that it was lost. */

import type { StreamError } from './types.js';

export interface Wire {
  close(): void;
  /** Hears events of this type, too. */
  listen(type: string): void;
}

/**
 * - `waits`: the browser itself comes back
 * - `refused`: an EventSource was turned away, and was not told why
 * - `over`: the server says that there is nothing left to come back for
 * - `ended`: in order, or by a `problem`
 */
export interface Loss {
  how: 'waits' | 'refused' | 'over' | 'ended';
  /** What is not told of it is as when a connection is lost. */
  problem?: Partial<StreamError>;
  /** When to come back, as the server has it. */
  retryMs?: number;
}

export interface Listener {
  /** `id` as an EventSource tells it: the last one, for an event that has none. */
  event(type: string, data: string, id: string | null): void;
  /** A sign of life that is no event. */
  beat(): void;
  lost(loss: Loss): void;
}

/** The browser's own EventSource. Comments, which are a debate's heartbeats, stay invisible. */
export function eventSourceWire(Source: typeof EventSource, url: string, withCredentials: boolean, types: Iterable<string>, listener: Listener): Wire {
  const source = new Source(url, { withCredentials });
  const hear = (event: Event): void => {
    const { type, data, lastEventId } = event as MessageEvent<string | undefined>;
    if (data !== undefined) listener.event(type, data, lastEventId || null);
    // The failures of the connection share the name of a debate's own `error`, but carry nothing.
    else if (type === 'error') listener.lost({ how: source.readyState === 2 ? 'refused' : 'waits' });
  };
  const listen = (type: string): void => source.addEventListener(type, hear);
  for (const type of new Set(['error', ...types])) listen(type);
  return { listen, close: () => source.close() };
}
