/** React hooks: a debate, or a conversation, as a value that grows. */

import { useCallback, useEffect, useMemo, useRef, useSyncExternalStore } from 'react';

import { IDLE, openStream, streamKey } from './store.js';
import type { ConversationStream, DebateStream, Kind, StreamOptions, Streams } from './types.js';

export interface HookOptions<S, T = S> extends StreamOptions {
  /** False: as if there were no id. */
  enabled?: boolean;
  /** What the component needs; it renders when that is another value, or has other fields. */
  select?: (stream: S) => T;
}

/** Follows a debate. No id: idle. */
export function useDebateStream<T = DebateStream>(id: string | null | undefined, options: HookOptions<DebateStream, T> = {}): T {
  return useStream('debate', id, options);
}

/** Follows a conversation. No id: idle. */
export function useConversationStream<T = ConversationStream>(sessionId: string | null | undefined, options: HookOptions<ConversationStream, T> = {}): T {
  return useStream('conversation', sessionId, options);
}

function useStream<K extends Kind, T>(kind: K, id: string | null | undefined, options: HookOptions<Streams[K], T>): T {
  const latest = useRef(options);
  useEffect(() => { latest.current = options; });
  const isIdle = id === null || id === undefined || options.enabled === false;
  const key = isIdle ? null : streamKey(kind, id, options);
  const hearsAll = options.onEvent !== undefined;

  const store = useMemo(() => {
    if (isIdle) return null;
    const { onEvent, token, ...rest } = options; // `latest` are still those of the render before
    return openStream(kind, id, {
      ...rest,
      ...(hearsAll && { onEvent: (...event) => latest.current.onEvent?.(...event) }),
      ...(token !== undefined && { token: typeof token === 'string' ? token : async () => { const now = latest.current.token ?? token; return typeof now === 'string' ? now : now(); } }),
    });
  // The key stands for everything that makes it another connection.
  }, [key, hearsAll]);

  const subscribe = useCallback((changed: () => void) => store?.subscribe(changed) ?? (() => {}), [store]);
  const chosen = useRef<{ stream: Streams[K]; by: typeof options.select; value: T } | null>(null);
  const select = (stream: Streams[K]): T => {
    const before = chosen.current;
    if (before?.stream === stream && before.by === options.select) return before.value;
    const next = options.select ? options.select(stream) : stream as unknown as T;
    const value = before && isSame(before.value, next) ? before.value : next;
    chosen.current = { stream, by: options.select, value };
    return value;
  };
  return useSyncExternalStore(subscribe, () => select(store?.getSnapshot() ?? IDLE[kind]), () => select(IDLE[kind]));
}

/** Whether two values are the same, or are lists or plain objects of the same fields. */
function isSame(a: unknown, b: unknown): boolean {
  if (Object.is(a, b)) return true;
  if (!hasFields(a) || !hasFields(b) || Array.isArray(a) !== Array.isArray(b)) return false;
  const keys = Object.keys(a);
  return keys.length === Object.keys(b).length && keys.every((key) => Object.is(a[key as keyof typeof a], b[key as keyof typeof b]));
}

/** What a Map, a Set or a Date holds is in none of its fields. */
function hasFields(value: unknown): value is object {
  return Array.isArray(value) || (typeof value === 'object' && value !== null && [Object.prototype, null].includes(Object.getPrototypeOf(value)));
}
