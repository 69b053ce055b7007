/** A wire over `fetch`: it can send a token, hears every type, sees heartbeats, and is told why it was refused. */

import { createParser } from 'eventsource-parser';

import { type Listener, type Problem, type Wire, refusal } from './wire.js';

export interface FetchRequest {
  fetch: typeof fetch;
  token: (() => string | Promise<string>) | null;
  withCredentials: boolean;
}

export function fetchWire(url: string, { fetch, token, withCredentials }: FetchRequest, listener: Listener): Wire {
  const abort = new AbortController();
  let lastId: string | null = null;
  let retryMs: number | null = null;
  const ended = (problem: Problem | null): void => listener.lost({ how: 'ended', problem, retryMs });

  const parser = createParser({
    onEvent({ event = 'message', data, id }) {
      if (id !== undefined) lastId = id || null;
      listener.event(event, data, lastId);
    },
    onRetry(ms) { retryMs = ms; },
    onComment() { listener.beat(); },
  });

  async function read(): Promise<void> {
    const headers: Record<string, string> = { Accept: 'text/event-stream' };
    if (token) headers.Authorization = `Bearer ${await token()}`;
    const response = await fetch(url, { headers, cache: 'no-store', credentials: withCredentials ? 'include' : 'same-origin', signal: abort.signal });
    if (response.status === 204) { listener.lost({ how: 'over' }); return; }
    const isStream = response.headers.get('Content-Type')?.startsWith('text/event-stream');
    if (!response.ok || !isStream || !response.body) {
      await response.body?.cancel();
      ended(refusal(response));
      return;
    }
    listener.beat();
    const reader = response.body.getReader();
    const decoder = new TextDecoder();
    for (;;) {
      const { done, value } = await reader.read();
      if (done) break;
      listener.beat();
      parser.feed(decoder.decode(value, { stream: true }));
    }
    ended(null);
  }

  read().catch((error: unknown) => {
    if (!abort.signal.aborted) ended({ kind: 'network', message: error instanceof Error ? error.message : String(error), retryable: true });
  });
  return { listen() {}, close: () => abort.abort() };
}
