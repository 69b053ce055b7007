/**
 * What the server's events carry.
 *
 * Written from the server's Rust types by `UPDATE_TYPESCRIPT=1 cargo test typescript`. Do not edit.
 */

/** How far a stream has come. */
export type Status = "waiting" | "live" | "paused" | "completed";

/** A stream's state at this moment, as the `snapshot` event words it. */
export type Snapshot = {
  /** What is being spoken. */
  open: Array<OpenUtterance>,
  /** How many follow the stream. */
  subscribers: number,
  /** How far the stream has come. */
  status: Status,
  /** What it is about. */
  title: string | null,
  /** The current phase. */
  phase: string | null,
  /** Who speaks, or spoke last. */
  speaker: string | null,
  /** How many utterances there have been. */
  turnCount: number,
  /** What has been said so far, in a few words. */
  summary: string | null,
};

/** An utterance that is being spoken: its text so far. */
export type OpenUtterance = {
  /** Who speaks. */
  participant: string,
  /** The persona that speaks. */
  persona: string | null,
  /** Who speaks, as it is shown. */
  name: string,
  /** Which of the speaker's texts this is. */
  segment: string | null,
  /** What has been said so far. */
  text: string,
};

/** Events that a cursor asked for and that cannot be replayed. */
export type Gap = {
  /** The cursor; none if it was not an id: what makes no sense is not repeated. */
  requested: string | null,
  /** Why. */
  reason: GapReason,
  /** How many events are missing, where that can be known. */
  missed: number | null,
};

export type GapReason = "expired" | "unknown" | "ahead" | "malformed";

/** `debate_started`: what will be debated. Ours; the specification has no such event. */
export type DebateStarted = {
  /** The question, as the list of debates shows it. */
  title: string,
};

/** `phase_transition`: the debate enters its next phase. */
export type PhaseTransition = {
  /** The phase that begins. */
  phase: string,
  /** When, in milliseconds since the Unix epoch. */
  timestamp: number,
};

/** `token`: a piece of what is being said. Transient. */
export type DebateToken = {
  /** Who speaks. */
  speaker: string,
  /** The next piece of text, white space included. */
  token: string,
  /** Which of the speaker's texts it belongs to, where there are several at once. */
  segment?: string,
};

/** `utterance`: somebody has spoken. Ends that speaker's tokens. */
export type Utterance = {
  /** The utterance's own id, the publisher's choice. */
  id: string,
  /** When it was spoken, in milliseconds since the Unix epoch. */
  timestamp: number,
  /** The phase in which it was spoken. */
  phase: string,
  /** Who spoke. */
  speaker: string,
  /** What was said; Markdown. */
  content: string,
};

/** `conversation_started`: what will be talked about, and by whom. */
export type ConversationStarted = {
  /** The topic, as the list of conversations shows it. */
  title?: string,
  /** Who takes part. */
  participants?: Array<Participant>,
};

/** One who takes part in a conversation. */
export type Participant = {
  /** Unique within the conversation. */
  id: string,
  /** As it is shown. */
  name: string,
  /** The persona that is spoken with. */
  personaSlug?: string,
  /** Whether this is the host. */
  isHost: boolean,
};

/** `conversation_speaker_changed`: somebody else has the floor. */
export type SpeakerChanged = {
  /** The conversation. */
  sessionId: string,
  /** Who speaks now. */
  speakerId: string,
  /** Who speaks now, as it is shown. */
  speakerName: string,
  /** The persona that speaks now. */
  personaSlug?: string,
};

/** `conversation_token`: a piece of what is being said. Transient. */
export type ConversationToken = {
  /** Who speaks. */
  participantId: string,
  /** The persona that speaks. */
  personaSlug: string,
  /** Who speaks, as it is shown. */
  personaName: string,
  /** Which of the speaker's texts it belongs to. */
  segment: string,
  /** The next piece of text, white space included. */
  token: string,
};

/** `conversation_utterance`: somebody has spoken. Ends the tokens of that persona. */
export type ConversationUtterance = {
  /** The conversation. */
  sessionId: string,
  /** Who spoke, as it is shown. */
  speakerName: string,
  /** The persona that spoke. */
  personaSlug: string,
  /** What was said; Markdown. */
  content: string,
  /** Whether the host spoke. */
  isHost: boolean,
  /** How many turns there have been, this one counted. */
  turnCount: number,
  /** Milliseconds since the Unix epoch. The server's own time takes its place on the wire. */
  timestamp: number,
};

/** `conversation_context_updated`: the conversation so far, in a few words. */
export type ContextUpdated = {
  /** The conversation. */
  sessionId: string,
  /** What has been said so far. */
  summary: string,
  /** How many turns the summary covers. */
  turnCount: number,
};
