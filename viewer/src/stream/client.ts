/** What the page uses of the client. */

export { fold, initialState } from '@clearside/sse-client';
export type { ConversationState, DebateState, LiveTurn, StreamError, StreamEvent, StreamStatus } from '@clearside/sse-client';
