/** Generated from the server's Rust types. Do not edit. */

export type Status = "waiting" | "live" | "paused" | "completed";

export type OpenUtterance = { participant: string, persona: string | null, name: string, segment: string | null, text: string };

export type Snapshot = { status: Status, title: string | null, phase: string | null, speaker: string | null, turnCount: number, summary: string | null, open: Array<OpenUtterance>, subscribers: number };

export type GapReason = "expired" | "unknown" | "ahead" | "malformed";

export type Gap = { requested: string | null, reason: GapReason, missed: number | null };

export type DebateStarted = { title: string };

export type Utterance = { id: string, timestamp: number, phase: string, speaker: string, content: string };

export type PhaseTransition = { phase: string, timestamp: number };

export type DebateToken = { speaker: string, token: string, segment?: string };

export type Participant = { id: string, name: string, personaSlug?: string, isHost: boolean };

export type ConversationStarted = { title?: string, participants?: Array<Participant> };

export type ConversationUtterance = { sessionId: string, speakerName: string, personaSlug: string, content: string, isHost: boolean, turnCount: number, timestamp: number };

export type ConversationToken = { participantId: string, personaSlug: string, personaName: string, segment: string, token: string };

export type SpeakerChanged = { sessionId: string, speakerId: string, speakerName: string, personaSlug?: string };

export type ContextUpdated = { sessionId: string, summary: string, turnCount: number };
