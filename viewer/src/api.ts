/** The server's plain JSON: lists, histories, statistics and controls. */

import { askForToken, kept } from './session.ts';
import type { Kind } from './words.ts';

const PATHS: Record<Kind, string> = { debate: '/api/debates', conversation: '/api/conversations/sessions' };
export const KINDS = Object.keys(PATHS) as readonly Kind[];
const UNREACHABLE = 'The server can’t be reached.';

export type Verb = 'launch' | 'pause' | 'resume' | 'stop';

/** A stream as lists have it. */
export interface Listed {
  id: string;
  title: string | null;
  status: 'waiting' | 'live' | 'paused' | 'completed';
  phase: string | null;
  speaker: string | null;
  turnCount: number;
  summary: string | null;
  subscribers: number;
  lastEventId: string | null;
  createdAt: number | null;
  lastActivityAt: number | null;
}

export interface StoredEvent {
  id: string;
  type: string;
  data: unknown;
  timestamp: number;
}

/** A refusal in words for people, with the status that it came with (0: no answer). */
export class Refusal extends Error {
  readonly status: number;

  constructor(message: string, status: number) {
    super(message);
    this.status = status;
  }

  /** Whether this person is not allowed to. */
  get isForbidden(): boolean {
    return this.status === 401 || this.status === 403;
  }
}

export const refusalOf = (error: unknown) => (error instanceof Refusal ? error : new Refusal(String(error), 0));

async function ask<T>(url: string, init?: RequestInit): Promise<T> {
  const token = kept();
  try {
    return await askAs<T>(token, url, init);
  } catch (error) {
    // The answer to a request of before somebody signed in says nothing of now.
    if (error instanceof Refusal && error.status === 401 && token === kept()) askForToken(error.message);
    throw error;
  }
}

async function askAs<T>(token: string | null, url: string, init?: RequestInit): Promise<T> {
  const headers = { ...init?.headers, ...(token !== null && { Authorization: `Bearer ${token}` }) };
  const response = await fetch(url, { cache: 'no-store', ...init, headers }).catch(() => {
    if (init?.signal?.aborted) throw init.signal.reason;
    throw new Refusal(UNREACHABLE, 0);
  });
  const body: unknown = await response.json().catch(() => null);
  if (response.ok) return body as T;
  const said = (body as { error?: { message?: string } } | null)?.error?.message;
  throw new Refusal(said ? `${said.charAt(0).toUpperCase()}${said.slice(1)}.` : `The server answered ${response.status}.`, response.status);
}

/** Tries a token, whatever it is good for. @returns why the server does not take it */
export async function objectionTo(token: string): Promise<string | null> {
  try {
    await askAs(token, `${PATHS.debate}?limit=1`);
    return null;
  } catch (error) {
    const { status, message } = refusalOf(error);
    return status === 403 ? null : message;
  }
}

export const streamPath = (kind: Kind, id: string) => `${PATHS[kind]}/${encodeURIComponent(id)}`;

interface ListPage { streams: Listed[]; next: string | null }

/** The lists of both kinds. One that the token does not open is empty, and is not asked for again. */
export class Lists {
  /** By kind, what the server said. */
  readonly refused = new Map<Kind, string>();

  async read(kind: Kind, { before, limit = 20 }: { before?: string; limit?: number } = {}): Promise<ListPage> {
    try {
      if (!this.refused.has(kind)) return await ask(`${PATHS[kind]}?limit=${limit}${before === undefined ? '' : `&before=${before}`}`);
    } catch (error) {
      const { status, message } = refusalOf(error);
      if (status !== 403) throw error;
      this.refused.set(kind, message);
    }
    return { streams: [], next: null };
  }

  /** What the server said, if it opens neither list. */
  get refusal(): string | null {
    return this.refused.size < KINDS.length ? null : [...this.refused.values()][0]!;
  }
}

/** A stream is refused without a word. Here the server says why; and if it is for want of a token, somebody is asked for one. */
export const askWhy = (kind: Kind, id: string) => ask(streamPath(kind, id)).catch(() => {});

/** Everything stored of a stream, in order. */
export async function history(kind: Kind, id: string, signal: AbortSignal): Promise<StoredEvent[]> {
  const all: StoredEvent[] = [];
  let after: string | null = null;
  do {
    const query: string = `?limit=1000${after === null ? '' : `&after=${encodeURIComponent(after)}`}`;
    const page: { events: StoredEvent[]; next: string | null } = await ask(`${streamPath(kind, id)}/events${query}`, { signal });
    all.push(...page.events);
    after = page.next;
  } while (after !== null);
  return all;
}

export const stats = <T>(signal: AbortSignal) => ask<T>('/api/stats', { signal });

export const isReady = (signal: AbortSignal) => ask('/health/ready', { signal }).then(() => true, () => false);

export function steer(kind: Kind, id: string, verb: Verb, body?: object): Promise<unknown> {
  return ask(`${streamPath(kind, id)}/${verb}`, body === undefined ? { method: 'POST' }
    : { method: 'POST', headers: { 'Content-Type': 'application/json' }, body: JSON.stringify(body) });
}

/** An id for a stream that nobody has named. */
export const newId = () => `sample-${crypto.getRandomValues(new Uint32Array(1))[0]!.toString(36)}`;
