/** One stream, followed, as the page draws it. */

import { useMemo, useSyncExternalStore } from 'react';
import { kept } from '../session.ts';
import type { Kind } from '../words.ts';
import { openStream, type ConversationState, type DebateState, type Link as LinkState, type StreamError, type StreamStatus } from './client.ts';
import { paced } from './paced.ts';
import { Projection } from './projection.ts';
import type { Link, StreamView } from './view.ts';

/** Nobody reads faster than this. */
const DRAWN_EVERY_MS = 50;

type State = (DebateState | ConversationState) & LinkState;

const LINKS: Record<StreamStatus, Link> = {
  idle: 'connecting', connecting: 'connecting', catching_up: 'catching-up', open: 'open', reconnecting: 'reconnecting',
  complete: 'finished', closed: 'refused', failed: 'refused',
};

export interface Followed {
  readonly view: StreamView;
  readonly link: Link;
  readonly error: StreamError | null;
  readonly nextRetryAt: number | null;
  readonly reconnect: () => void;
}

export function useStream(kind: Kind, id: string): Followed {
  const { subscribe, getSnapshot, reconnect } = useMemo(() => {
    const token = kept();
    const store = openStream(kind, id, token === null ? {} : { token });
    return { ...paced<State>(store, DRAWN_EVERY_MS), reconnect: store.reconnect };
  }, [kind, id]);
  const stream = useSyncExternalStore(subscribe, getSnapshot);
  const projection = useMemo(() => new Projection(kind), [kind, id]);
  const view = useMemo(() => projection.view(stream), [projection, stream]);
  return { view, link: LINKS[stream.status], error: stream.error, nextRetryAt: stream.nextRetryAt, reconnect };
}
