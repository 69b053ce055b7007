/** A wire over `fetch`: it can send a token, hears every type, sees heartbeats, and is told why it was refused. */

import { createParser } from 'eventsource-parser';

import type { StreamError, StreamOptions } from './types.js';
import type { Listener, Loss, Wire } from './wire.js';

export function fetchWire(url: string, { fetch = globalThis.fetch, token, withCredentials }: StreamOptions, listener: Listener): Wire {
  const abort = new AbortController();
  let lastId: string | null = null;
  let retryMs: number | undefined;

  const parser = createParser({
    onEvent({ event = 'message', data, id }) {
      if (id !== undefined) lastId = id || null;
      try { listener.event(event, data, lastId); } catch (error) {
        setTimeout(() => { throw error; }); // a handler's mistake is for the page, and none of the connection's
      }
    },
    onRetry(ms) { retryMs = ms; },
  });

  async function read(): Promise<void> {
    const headers: Record<string, string> = { Accept: 'text/event-stream' };
    if (token) headers.Authorization = `Bearer ${typeof token === 'string' ? token : await token()}`;
    const response = await fetch(url, { headers, cache: 'no-store', credentials: withCredentials ? 'include' : 'same-origin', signal: abort.signal });
    if (!response.body || response.status !== 200 || !response.headers.get('Content-Type')?.startsWith('text/event-stream')) {
      listener.lost(response.status === 204 ? { how: 'over' } : { how: 'ended', problem: problemOf(response.status) });
      abort.abort();
      return;
    }
    const decoder = new TextDecoder();
    const reader = response.body.getReader();
    for (;;) {
      listener.beat(); // every byte is a sign of life, heartbeats too
      const { done, value } = await reader.read();
      if (done) break;
      parser.feed(decoder.decode(value, { stream: true }));
    }
    listener.lost({ how: 'ended', ...(retryMs !== undefined && { retryMs }) });
  }

  // An error of the caller's `token` counts as one of the network.
  read().catch(() => listener.lost({ how: 'ended', problem: { kind: 'network', message: 'The server cannot be reached.' }, ...(retryMs !== undefined && { retryMs }) }));
  return { listen() {}, close: () => abort.abort() };
}

const KINDS: Record<number, StreamError['kind']> = { 401: 'auth', 403: 'auth', 404: 'gone', 410: 'gone' };

/** What an answer means that is no stream. */
function problemOf(status: number): NonNullable<Loss['problem']> {
  if (status < 400) return { kind: 'protocol', message: 'The answer is no event stream.', status };
  const isPassing = status >= 500 || status === 408 || status === 429;
  return { kind: KINDS[status] ?? 'http', message: `The server answered ${status}.`, status, ...(!isPassing && { retryable: false }) };
}
