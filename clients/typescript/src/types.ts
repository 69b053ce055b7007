/** What the package promises to its users. Payloads are the server's own types: see `vocabulary.ts`. */

import type {
  ContextUpdated, ConversationStarted, ConversationToken, ConversationUtterance as ServerConversationUtterance,
  DebateStarted, DebateToken, Gap, Participant, PhaseTransition, Snapshot, SpeakerChanged, Status,
  Utterance as ServerUtterance,
} from './vocabulary.js';

export type Kind = 'debate' | 'conversation';

/** An object whose other fields are the publisher's own. */
export type Open<T = object> = T & { readonly [field: string]: unknown };

/** The server's player says how a speech was given. */
interface Manner { interjection?: boolean; interrupted?: boolean }

export type Utterance = ServerUtterance & Manner;
export type ConversationUtterance = ServerConversationUtterance & Manner;

/** What goes around a conversation's payload. */
type Enveloped<T> = T & { type: string; timestamp: number };

interface HubEvents { snapshot: Snapshot; gap: Gap; busy: { message: string } }

export interface DebateEvents extends HubEvents {
  connected: { clientId: string; debateId: string };
  debate_started: Open<DebateStarted>;
  phase_transition: Open<PhaseTransition>;
  token: Open<DebateToken>;
  utterance: Utterance;
  intervention_response: unknown;
  pause: unknown;
  resume: unknown;
  summary: unknown;
  error: unknown;
  complete: unknown;
}

export interface ConversationEvents extends HubEvents {
  connection_established: { type: string; sessionId: string; clientId?: string; timestamp: number };
  conversation_started: Enveloped<Open<ConversationStarted>>;
  conversation_speaker_changed: Enveloped<SpeakerChanged>;
  conversation_token: Enveloped<ConversationToken>;
  conversation_utterance: Enveloped<ConversationUtterance>;
  conversation_context_updated: Enveloped<ContextUpdated>;
  conversation_paused: Enveloped<Open>;
  conversation_resumed: Enveloped<Open>;
  conversation_error: Enveloped<Open>;
  conversation_completed: Enveloped<Open>;
  /** Nobody has checked it: its phase may be missing, or be anything. */
  phase_transition: Enveloped<Open>;
}

/** One event. `id` is its own, and null for what is transient: a token, a greeting. */
export interface StreamEvent { readonly type: string; readonly data: unknown; readonly id: string | null }

/** A speech under way: its text so far. */
export interface LiveTurn {
  /** The speaker, as shown. */
  readonly speaker: string;
  /** A debate's speaker, a conversation's `participantId`. */
  readonly participant: string;
  readonly persona: string | null;
  /** Which of the speaker's texts this is. */
  readonly segment: string | null;
  readonly text: string;
}

/** Who has the floor in a conversation. */
export interface Speaker { readonly id: string | null; readonly name: string; readonly personaSlug: string | null }

/** What is known of a stream, folded from its events. */
export interface FoldedState<U> {
  /** How far the debate itself has come; null until that is known. */
  readonly stage: Status | null;
  readonly title: string | null;
  readonly phase: string | null;
  readonly summary: string | null;
  readonly turnCount: number;
  /** How many connections follow the stream, at the last snapshot. */
  readonly followers: number | null;
  readonly participants: readonly Participant[];
  /** What has been said, in order. */
  readonly utterances: readonly U[];
  /** Every stored event seen, in order, and a gap where some are lost. Folding these gives this state. */
  readonly events: readonly StreamEvent[];
  /** All that is being said at this moment, in the order in which it began. */
  readonly turns: readonly LiveTurn[];
  /** The last gap: history that the server could not give. */
  readonly gap: Gap | null;
  /** This connection's id. */
  readonly clientId: string | null;
  /** The id of the last stored event seen; where a reconnect goes on. */
  readonly lastEventId: string | null;
  /** Whether this connection has reached the live edge. */
  readonly caughtUp: boolean;
}

export interface DebateState extends FoldedState<Utterance> {
  readonly kind: 'debate';
  readonly speaker: string | null;
  /** The speech under way; of several, the newest. */
  readonly live: LiveTurn | null;
}

export interface ConversationState extends FoldedState<ConversationUtterance> {
  readonly kind: 'conversation';
  readonly speaker: Speaker | null;
  /** The speeches under way, by participant; of several of one voice, the newest. */
  readonly live: ReadonlyMap<string, LiveTurn>;
}

/**
 * - `idle`: no id, not enabled, nobody subscribed, or on a server
 * - `connecting`, then `catching_up` with the history, then `open` at the live edge
 * - `reconnecting`: lost, and trying again
 * - `complete`: the stream has ended for good
 * - `closed`: by `close()`
 * - `failed`: refused, or out of attempts; `reconnect()` tries again
 */
export type StreamStatus = 'idle' | 'connecting' | 'catching_up' | 'open' | 'reconnecting' | 'complete' | 'closed' | 'failed';

export interface StreamError {
  readonly kind: 'network' | 'http' | 'auth' | 'gone' | 'protocol' | 'server';
  readonly message: string;
  readonly status?: number;
  /** Whether it is being tried again. */
  readonly retryable: boolean;
  /** When, in milliseconds since the Unix epoch. */
  readonly at: number;
}

/** The state of the connection. */
export interface Link {
  readonly status: StreamStatus;
  readonly error: StreamError | null;
  /** Attempts in a row that came to nothing. */
  readonly attempt: number;
  /** When the next attempt is due, in milliseconds since the Unix epoch. */
  readonly nextRetryAt: number | null;
}

export interface Controls<E> {
  /** Connects anew at once, and goes on where it was. */
  readonly reconnect: () => void;
  /** Closes for everybody who follows this stream in this page. */
  readonly close: () => void;
  /** Calls `fn` with each event of a type as it comes, repeats left out. @returns how to stop it */
  readonly on: <T extends keyof E & string>(type: T, fn: (data: E[T], id: string | null) => void) => () => void;
}

interface Shared<E> extends Link, Controls<E> {
  readonly isConnected: boolean;
  readonly paused: boolean;
  /** `phase`, or '' while there is none. */
  readonly currentPhase: string;
}

/** Types that the vocabulary does not have carry anything. */
type Heard<E> = E & { readonly [type: string]: unknown };

export type DebateStream = DebateState & Shared<Heard<DebateEvents>>;
export type ConversationStream = ConversationState & Shared<Heard<ConversationEvents>>;

export interface States { debate: DebateState; conversation: ConversationState }
export interface Streams { debate: DebateStream; conversation: ConversationStream }

export interface RetryOptions {
  /** The first wait, doubled with each failure. Default 1,000. */
  minMs?: number;
  /** The longest wait. Default 30,000. */
  maxMs?: number;
  /** The part of a wait that chance may take off, 0 to 1. Default 0.5. */
  jitter?: number;
  /** After so many failures in a row the status is `failed`. Default: never. */
  maxAttempts?: number;
}

export interface StreamOptions {
  /** Where the server is, if not where the page comes from. */
  baseUrl?: string;
  /** Where to begin. `start`: the whole history. `now`: what is said from now on. Default `start`. */
  from?: 'start' | 'now' | { lastEventId: string };
  /** `auto`, the default: the browser's EventSource, unless `token` or `onEvent` need more than it can do. */
  transport?: 'auto' | 'eventsource' | 'fetch';
  /** Sent as `Authorization: Bearer …`; a function is asked before each connection. */
  token?: string | (() => string | Promise<string>);
  /** Sends cookies to another origin. */
  withCredentials?: boolean;
  /** Keeps no more than the last so many utterances, and events. Default: all. */
  maxUtterances?: number;
  /** Silence after which a connection counts as dead. Default 35,000; must be above two heartbeats of the server, which by default are 30,000. */
  staleAfterMs?: number;
  /** How to come back; false: not at all. */
  retry?: RetryOptions | false;
  /** Is not connected while the page is hidden. */
  pauseWhenHidden?: boolean;
  /** One connection for all tabs of the browser. `auto`, the default: where the page came over HTTP/1.1. */
  shareTabs?: boolean | 'auto';
  /** Every event, those of unknown types too; repeats left out. */
  onEvent?: (type: string, data: unknown, id: string | null) => void;
  EventSource?: typeof EventSource;
  fetch?: typeof fetch;
}

/** A stream as something to subscribe to. The connection is open while somebody is subscribed. */
export interface StreamStore<K extends Kind> {
  readonly getSnapshot: () => Streams[K];
  /** Calls `fn` whenever the snapshot is another one: once a frame at most for what is said, at once for the connection. @returns how to stop it */
  readonly subscribe: (fn: () => void) => () => void;
  readonly on: Streams[K]['on'];
  readonly reconnect: () => void;
  readonly close: () => void;
}
