/** A network that does as it is told. */

import { readFileSync, readdirSync } from 'node:fs';
import path from 'node:path';

import { createParser } from 'eventsource-parser';

import type { StreamEvent } from '../src/index.js';

export const EPOCH = 'k3v9x2a7';

/** Stands in for the browser's EventSource. */
export class FakeSource extends EventTarget {
  static opened: FakeSource[] = [];
  static get last(): FakeSource {
    const last = FakeSource.opened.at(-1);
    if (!last) throw new Error('nothing was opened');
    return last;
  }
  static get live(): FakeSource[] { return FakeSource.opened.filter(({ readyState }) => readyState !== 2); }

  readyState = 0;
  lastId = '';
  readonly heard = new Set<string>();

  constructor(readonly url: string | URL, readonly init?: EventSourceInit) {
    super();
    FakeSource.opened.push(this);
  }

  override addEventListener(type: string, fn: EventListener): void {
    this.heard.add(type);
    super.addEventListener(type, fn);
  }

  /** As the server would: an event without an id repeats the last one. */
  emit(type: string, data: unknown, id?: string | number): void {
    if (this.readyState === 2) throw new Error('it is closed');
    this.readyState = 1;
    if (id !== undefined) this.lastId = typeof id === 'number' ? `${EPOCH}-${id}` : id;
    this.dispatchEvent(new MessageEvent(type, { data: JSON.stringify(data), lastEventId: this.lastId }));
  }

  greet(clientId = 'c1'): void { this.emit('connected', { clientId, debateId: 'd' }); }

  edge(id?: string | number, more: object = {}): void { this.emit('snapshot', snapshot(more), id); }

  /** The browser comes back by itself. */
  drop(): void {
    this.readyState = 0;
    this.dispatchEvent(new Event('error'));
  }

  /** Any answer but 200. */
  refuse(): void {
    this.readyState = 2;
    this.dispatchEvent(new Event('error'));
  }

  close(): void { this.readyState = 2; }
}

export const asSource = FakeSource as unknown as typeof EventSource;

export const snapshot = (more: object = {}): object => ({
  status: 'live', title: null, phase: null, speaker: null, turnCount: 0, summary: null, open: [], subscribers: 1, ...more,
});

export const said = (speaker: string, content: string, more: object = {}): object => ({
  id: content, timestamp: 1, phase: 'opening', speaker, content, ...more,
});

const FOLDER = path.resolve(import.meta.dirname, '../../../tests/transcripts');

/** The streams that the Rust tests compare byte for byte. */
export const transcripts = readdirSync(FOLDER).filter((name) => /^(debate|conversation)_/.test(name)).map((name) => name.replace('.txt', ''));

/** A golden stream, as an EventSource tells it. */
export function transcript(name: string): StreamEvent[] {
  const events: StreamEvent[] = [];
  let last: string | null = null;
  createParser({
    onEvent({ event = 'message', data, id }) {
      last = id ?? last;
      events.push({ type: event, data: JSON.parse(data), id: last });
    },
  }).feed(readFileSync(path.join(FOLDER, `${name}.txt`), 'utf8'));
  return events;
}

/** A server that answers `fetch`, one answer after the other. */
export function fakeServer(): { fetch: typeof fetch; requests: { url: string; headers: Headers }[]; answers: FakeAnswer[] } {
  const requests: { url: string; headers: Headers }[] = [];
  const answers: FakeAnswer[] = [];
  const fakeFetch = async (url: string | URL | Request, init?: RequestInit): Promise<Response> => {
    requests.push({ url: String(url), headers: new Headers(init?.headers) });
    const answer = answers.shift() ?? new FakeAnswer(503);
    init?.signal?.addEventListener('abort', () => answer.abort());
    return answer.response();
  };
  return { fetch: fakeFetch as typeof fetch, requests, answers };
}

export class FakeAnswer {
  aborted = false;
  #stream: ReadableStreamDefaultController<Uint8Array> | undefined;

  constructor(readonly status: number, readonly type: string = 'text/event-stream') {}

  response(): Response {
    if (this.status === 0) throw new TypeError('fetch failed');
    const body = this.status === 204 ? null : new ReadableStream<Uint8Array>({ start: (stream) => { this.#stream = stream; } });
    return new Response(body, { status: this.status, headers: { 'Content-Type': this.type } });
  }

  write(text: string): void { this.#stream?.enqueue(new TextEncoder().encode(text)); }

  emit(type: string, data: unknown, id?: number): void {
    this.write(`event: ${type}\n${id === undefined ? '' : `id: ${EPOCH}-${id}\n`}data: ${JSON.stringify(data)}\n\n`);
  }

  end(): void { this.#stream?.close(); }

  abort(): void {
    this.aborted = true;
    try { this.#stream?.error(new DOMException('aborted', 'AbortError')); } catch { /* it has ended */ }
  }
}
