/** Streams as something to subscribe to: one connection for each, however many follow it in this page. */

import { type Connection, connect, linked, view } from './connection.js';
import { initialState } from './fold.js';
import type { Kind, StreamOptions, Streams, StreamStore } from './types.js';

const PATHS = { debate: '/api/debates/', conversation: '/api/conversations/sessions/' };

/** How long a connection outlives its last subscriber: a remount, as under StrictMode, does not cost another. */
const LINGER_MS = 250;

interface Held { connection: Connection<never>; holders: Set<() => void>; linger?: ReturnType<typeof setTimeout> }

const open = new Map<string, Held>();

const nothing = (): (() => void) => () => {};
const idle = <K extends Kind>(kind: K): Streams[K] => view<K>(initialState(kind), linked('idle'), { reconnect: nothing, close: nothing, on: nothing });

/** The snapshot while nobody follows; also what a server renders. */
export const IDLE: { readonly [K in Kind]: Streams[K] } = { debate: idle('debate'), conversation: idle('conversation') };

/**
 * What two followers must have in common to share a connection. Options that are not part of it are those
 * of whoever came first.
 */
export function streamKey(kind: Kind, id: string, { baseUrl = '', from, transport, token, withCredentials }: StreamOptions): string {
  return JSON.stringify([baseUrl + PATHS[kind] + encodeURIComponent(id), from, transport, typeof token === 'function' || token, withCredentials]);
}

/** A stream to follow. Nothing is connected before somebody subscribes. */
export function openStream<K extends Kind>(kind: K, id: string, options: StreamOptions = {}): StreamStore<K> {
  const key = streamKey(kind, id, options);
  const current = (): Connection<K> | undefined => open.get(key)?.connection;

  /** Keeps the connection open. @returns how to let go of it */
  function hold(use: (connection: Connection<K>) => () => void): () => void {
    const held: Held = open.get(key) ?? { connection: connect(kind, JSON.parse(key)[0] as string, options) as Connection<never>, holders: new Set() };
    open.set(key, held);
    clearTimeout(held.linger);
    const end = use(held.connection as Connection<K>);
    held.holders.add(end);
    return () => {
      if (!held.holders.delete(end)) return;
      end();
      if (held.holders.size) return;
      held.linger = setTimeout(() => {
        open.delete(key);
        held.connection.stop();
      }, LINGER_MS);
    };
  }

  return {
    getSnapshot: () => current()?.snapshot() ?? IDLE[kind],
    subscribe: (fn) => hold((connection) => connection.subscribe(fn, options.onEvent)),
    on: ((type: string, fn: (data: unknown, id: string | null) => void) => hold((connection) => connection.on(type, fn))) as Streams[K]['on'],
    reconnect: () => current()?.reconnect(),
    close: () => current()?.close(),
  };
}
