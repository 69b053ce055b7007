/** What the page uses of the client. */

export { fold, initialState, openStream } from '@clearside/sse-client';
export type { ConversationState, DebateState, Link, LiveTurn, StreamError, StreamEvent, StreamStatus } from '@clearside/sse-client';
