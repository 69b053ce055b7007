/** One stream, followed, as the page draws it. */

import { useMemo } from 'react';
import type { StreamError, StreamStatus } from './client.ts';
import { useConversationStream, useDebateStream } from '@clearside/sse-client/react';
import type { Kind } from '../words.ts';
import { Projection } from './projection.ts';
import type { Link, StreamView } from './view.ts';

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
  const debate = useDebateStream(kind === 'debate' ? id : null);
  const conversation = useConversationStream(kind === 'conversation' ? id : null);
  const stream = kind === 'debate' ? debate : conversation;
  const projection = useMemo(() => new Projection(kind), [kind, id]);
  const view = useMemo(() => projection.view(stream), [projection, stream]);
  return { view, link: LINKS[stream.status], error: stream.error, nextRetryAt: stream.nextRetryAt, reconnect: stream.reconnect };
}
