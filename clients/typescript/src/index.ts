/** Follows the debates and conversations of a clearside-sse server. */

export { eventTypes, fold, initialState } from './fold.js';
export { openStream } from './store.js';
export type * from './types.js';
export type {
  ContextUpdated, ConversationStarted, ConversationToken, DebateStarted, DebateToken, Gap, GapReason, OpenUtterance, Participant,
  PhaseTransition, Snapshot, SpeakerChanged, Status,
} from './vocabulary.js';
