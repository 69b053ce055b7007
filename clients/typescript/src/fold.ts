/**
 * What is known of a stream, folded from its events: `fold(state, event) → state`.
 *
 * Pure: no clock and no network. The server has checked the payloads of the types that are folded here.
 */

import type { DebateState, Kind, LiveTurn, Speaker, States, StreamEvent } from './types.js';
import type {
  ContextUpdated, ConversationStarted, ConversationToken, ConversationUtterance, DebateToken, Gap, Participant, PhaseTransition,
  Snapshot, SpeakerChanged, Status, Utterance,
} from './vocabulary.js';

type State = States[Kind];
type Manner = { interjection?: boolean };
/** Both kinds of state, as the rules see it. */
type Next = { -readonly [F in Exclude<keyof DebateState, 'kind' | 'speaker' | 'live' | 'utterances'>]: DebateState[F] } & {
  kind: Kind; speaker: string | Speaker | null; live: unknown; utterances: readonly unknown[];
};
type Rule = (next: Next, data: never, draft: Draft<State>) => void;

/** The state before the first event. */
export function initialState<K extends Kind>(kind: K): States[K] {
  const state: Next = {
    kind, stage: null, title: null, phase: null, summary: null, turnCount: 0, followers: null, participants: [], utterances: [],
    events: [], turns: [], gap: null, clientId: null, lastEventId: null, caughtUp: false, speaker: null, live: liveOf(kind, []),
  };
  return state as unknown as States[K];
}

/**
 * Folds one event in.
 *
 * `event.id` is the id as an EventSource tells it, which repeats the last one for an event that has none.
 * An event that was folded before changes nothing.
 */
export function fold<S extends State>(state: S, event: StreamEvent): S {
  const draft = new Draft(state);
  return draft.add(event) ? draft.state : state;
}

/** A state that many events are folded into before anybody looks at it. */
export class Draft<S extends State> {
  readonly state: S;
  readonly #base: S;
  readonly #max: number;

  constructor(base: S, maxUtterances: number = Infinity) {
    this.state = { ...base };
    this.#base = base;
    this.#max = maxUtterances;
  }

  /** @returns the event with an id that is its own, or null if it was folded before */
  add({ type, data, id: told }: StreamEvent): StreamEvent | null {
    const next = this.state as unknown as Next;
    const id = HAS_NO_ID.includes(type) ? null : type === 'snapshot' || (type === 'gap' && (data as Gap).reason !== 'expired') ? told : ownId(next, told);
    if (id === undefined) return null;
    const event = { type, data, id };
    const { turns } = next;
    RULES[next.kind].get(type)?.(next, (data ?? {}) as never, this as unknown as Draft<State>);
    if (next.turns !== turns) next.live = liveOf(next.kind, next.turns);
    // A completed stream's snapshot lies before the end, which this page may have seen.
    if (id !== null && (type !== 'snapshot' || ownId(next, id) !== undefined)) next.lastEventId = id;
    if (type === 'gap' || (id !== null && type !== 'snapshot')) this.push('events', event);
    return event;
  }

  /** Adds to a list in place, once it is this draft's own. */
  push(key: 'events' | 'utterances', item: unknown): void {
    const next = this.state as unknown as Record<typeof key, unknown[]>;
    if (next[key] === this.#base[key]) next[key] = [...next[key]];
    next[key].push(item);
    if (next[key].length > this.#max) next[key].shift();
  }
}

// Ids -------------------------------------------------------------------------------------------

const HAS_NO_ID = ['connected', 'connection_established', 'busy', 'token', 'conversation_token'];

/**
 * The id that is the event's own; null for a transient event, undefined for a repetition.
 *
 * Past the live edge an unchanged id means a transient event; before it, where all is durable, one sent twice.
 */
function ownId(state: Next, id: string | null): string | null | undefined {
  const [epoch, seq] = parts(id);
  const [lastEpoch, lastSeq] = parts(state.lastEventId);
  if (!seq) return null;
  if (epoch !== lastEpoch || seq > lastSeq) return id;
  return seq === lastSeq && state.caughtUp ? null : undefined;
}

/** `<epoch>-<seq>` → its two halves; what is no id has no number. */
function parts(id: string | null): [epoch: string | undefined, seq: number] {
  const [epoch, seq] = (id ?? '').split('-');
  return [epoch, Number(seq)];
}

// What each event means -------------------------------------------------------------------------

const greet = (next: Next, data: { type?: string; clientId?: string }): void => {
  if (data.type === 'heartbeat') return;
  next.caughtUp = false;
  next.clientId = data.clientId ?? null;
};

/** The server's own fold, right whatever was missed; its `open` takes the place of our tokens. Of a debate's summaries it knows nothing. */
const snapshot = (next: Next, { status, title, phase, summary, turnCount, subscribers, open, speaker }: Snapshot): void => {
  const turns = open.map(({ name, ...turn }) => ({ speaker: name, ...turn }));
  Object.assign(next, { caughtUp: true, stage: status, title, phase, summary: summary ?? next.summary, turnCount, followers: subscribers, turns });
  speak(next, speaker);
};

/** History that cannot be replayed. What is not of this telling any more is forgotten, and told anew. */
const gap = (next: Next, data: Gap): void => {
  if (data.reason !== 'expired') Object.assign(next, initialState(next.kind), { clientId: next.clientId });
  next.gap = data;
  next.turns = [];
};

const started = (next: Next, { title, participants = [] }: ConversationStarted): void => {
  next.stage = 'live';
  next.title = title ?? next.title;
  // A debate's may be names alone.
  if (!Array.isArray(participants)) return; // only a conversation's are checked
  next.participants = participants.map((one: Participant | string) => (typeof one === 'string' ? { id: one, name: one, isHost: false } : one));
};

/** Only a debate's is checked. */
const enter = (next: Next, { phase }: Partial<PhaseTransition>): void => {
  begin(next);
  if (typeof phase === 'string') next.phase = phase;
};

const token = (next: Next, { speaker, segment, token: text }: DebateToken): void =>
  hear(next, { speaker, participant: speaker, persona: null, segment: segment ?? null, text });

const conversationToken = (next: Next, { personaName, participantId, personaSlug, segment, token: text }: ConversationToken): void =>
  hear(next, { speaker: personaName, participant: participantId, persona: personaSlug, segment, text });

const utterance = (next: Next, data: Utterance & Manner, draft: Draft<State>): void => {
  next.phase = data.phase;
  next.turnCount += 1;
  say(next, data, draft, ({ speaker }) => speaker === data.speaker, data.speaker);
};

const conversationUtterance = (next: Next, data: ConversationUtterance & Manner, draft: Draft<State>): void => {
  next.turnCount = data.turnCount;
  say(next, data, draft, ({ persona }) => persona === data.personaSlug, data.speakerName, data.personaSlug);
};

const changeSpeaker = (next: Next, { speakerName, speakerId, personaSlug }: SpeakerChanged): void => {
  begin(next);
  speak(next, speakerName, personaSlug, speakerId);
};

/** Only a conversation's is checked. */
const summarise = (next: Next, { summary, turnCount }: Partial<ContextUpdated>): void => {
  if (typeof summary === 'string') next.summary = summary;
  if (typeof turnCount === 'number') next.turnCount = turnCount;
};

const becomes = (stage: Status) => (next: Next): void => {
  next.stage = stage;
  if (stage === 'completed') next.turns = [];
};

/** Heard, and of no consequence for the state. */
const nothing = (): void => {};

const rules = (own: Record<string, Rule>): Map<string, Rule> =>
  new Map(Object.entries({ snapshot, gap, busy: nothing, phase_transition: enter, ...own }));

const RULES = {
  debate: rules({
    connected: greet, debate_started: started, token, utterance, summary: summarise,
    pause: becomes('paused'), resume: becomes('live'), complete: becomes('completed'), intervention_response: nothing, error: nothing,
  }),
  conversation: rules({
    connection_established: greet, conversation_started: started, conversation_token: conversationToken,
    conversation_utterance: conversationUtterance, conversation_speaker_changed: changeSpeaker,
    conversation_context_updated: summarise, conversation_paused: becomes('paused'),
    conversation_resumed: becomes('live'), conversation_completed: becomes('completed'), conversation_error: nothing,
  }),
};

/** The types that a stream of this kind is read by. An EventSource hears only those that it was told. */
export function eventTypes(kind: Kind): string[] {
  return [...RULES[kind].keys()];
}

// Pieces ----------------------------------------------------------------------------------------

/** A stream on which something happens is live, even if nobody announced its start. */
function begin(next: Next): void {
  if (!next.stage || next.stage === 'waiting') next.stage = 'live';
}

/** Adds a token to what its voice has said so far. */
function hear(next: Next, turn: LiveTurn): void {
  begin(next);
  const before = next.turns.find(({ participant, segment }) => participant === turn.participant && segment === turn.segment);
  next.turns = before ? next.turns.map((open) => (open === before ? { ...turn, text: before.text + turn.text } : open)) : [...next.turns, turn];
  speak(next, turn.speaker, turn.persona, turn.participant);
}

/** An utterance takes the place of the turns that it ends. Who interjects does not take the floor. */
function say(next: Next, data: Manner, draft: Draft<State>, ends: (turn: LiveTurn) => boolean, name: string, slug?: string): void {
  begin(next);
  const turn = next.turns.find(ends);
  next.turns = next.turns.filter((open) => !ends(open));
  draft.push('utterances', data);
  if (!data.interjection || !next.turns.length) speak(next, name, slug, turn?.participant);
}

/** Gives somebody the floor. A conversation's events tell now the one, now the other of who that is. */
function speak(next: Next, name: string | null, slug?: string | null, id?: string): void {
  if (next.kind === 'debate' || name === null) next.speaker = name;
  else {
    const known = next.participants.find((one) => (slug ? one.personaSlug === slug : one.name === name));
    next.speaker = { id: id ?? known?.id ?? null, name, personaSlug: slug ?? known?.personaSlug ?? null };
  }
}

function liveOf(kind: Kind, turns: readonly LiveTurn[]): LiveTurn | null | ReadonlyMap<string, LiveTurn> {
  return kind === 'debate' ? turns.at(-1) ?? null : new Map(turns.map((turn) => [turn.participant, turn]));
}
