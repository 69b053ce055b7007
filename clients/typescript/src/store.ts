/** Streams as something to subscribe to: one connection for each, however many follow it in this page. */

import { Connection } from './connection.js';
import { initialState } from './fold.js';
import type { Kind, StreamOptions, Streams, StreamStore } from './types.js';

const PATHS = { debate: '/api/debates/', conversation: '/api/conversations/sessions/' };

/** How long a connection outlives its last subscriber: a remount, as under StrictMode, does not cost another. */
const LINGER_MS = 250;

const nothing = (): void => {};
const IDLE: { [K in Kind]: Streams[K] } = { debate: idle('debate'), conversation: idle('conversation') };

function idle<K extends Kind>(kind: K): Streams[K] {
  return Object.freeze({
    ...initialState(kind), status: 'idle', error: null, attempt: 0, nextRetryAt: null, isConnected: false, paused: false,
    currentPhase: '', reconnect: nothing, close: nothing, on: () => nothing,
  }) as unknown as Streams[K];
}

/** The snapshot while nobody follows; also what a server renders. */
export const idleSnapshot = <K extends Kind>(kind: K): Streams[K] => IDLE[kind];

const open = new Map<string, { connection: Connection<Kind>; users: number; linger: ReturnType<typeof setTimeout> | undefined }>();

/** Where a stream is. */
export function streamUrl(kind: Kind, id: string, baseUrl = ''): string {
  return `${baseUrl.replace(/\/$/, '')}${PATHS[kind]}${encodeURIComponent(id)}`;
}

/**
 * What two followers must have in common to share a connection. Options that are not part of it are those
 * of whoever came first.
 */
export function streamKey(kind: Kind, id: string, { baseUrl, from = 'start', transport = 'auto', token, withCredentials = false }: StreamOptions = {}): string {
  return JSON.stringify([streamUrl(kind, id, baseUrl), from, transport, typeof token === 'function' ? true : token, withCredentials]);
}

/** A stream to follow. Nothing is connected before somebody subscribes. */
export function openStream<K extends Kind>(kind: K, id: string, options: StreamOptions = {}): StreamStore<K> {
  const key = streamKey(kind, id, options);
  const current = (): Connection<K> | undefined => open.get(key)?.connection as unknown as Connection<K> | undefined;

  /** Keeps the connection open. @returns how to let go of it */
  function hold(use: (connection: Connection<K>) => () => void): () => void {
    let entry = open.get(key);
    if (!entry) {
      entry = { connection: new Connection(kind, streamUrl(kind, id, options.baseUrl), options) as unknown as Connection<Kind>, users: 0, linger: undefined };
      open.set(key, entry);
    }
    const held = entry;
    held.users += 1;
    clearTimeout(held.linger);
    const end = use(held.connection as unknown as Connection<K>);
    held.connection.start();
    let isHeld = true;
    return () => {
      if (!isHeld) return;
      isHeld = false;
      end();
      held.users -= 1;
      if (held.users > 0) return;
      held.linger = setTimeout(() => {
        open.delete(key);
        held.connection.stop();
      }, LINGER_MS);
    };
  }

  return {
    getSnapshot: () => current()?.snapshot ?? IDLE[kind],
    subscribe: (fn) => hold((connection) => connection.subscribe(fn, options.onEvent)),
    on: ((type: string, fn: (data: unknown, id: string | null) => void) => hold((connection) => connection.on(type, fn))) as Streams[K]['on'],
    reconnect: () => current()?.reconnect(),
    close: () => current()?.close(),
  };
}
