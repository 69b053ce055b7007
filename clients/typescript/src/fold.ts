/**
 * What is known of a stream, folded from its events: `fold(state, event) → state`.
 *
 * Pure: no clock and no network. Payloads come from anywhere and are never trusted to be whole.
 */

import type { DebateState, Kind, LiveTurn, Speaker, States, StreamEvent } from './types.js';
import type { Gap, Participant, Status } from './vocabulary.js';

type Fields = { readonly [field: string]: unknown };
type State = States[Kind];
/** Both kinds of state, as the rules see it. */
type Next = { -readonly [F in keyof DebateState]: F extends 'kind' | 'speaker' | 'live' | 'utterances' ? unknown : DebateState[F] } & {
  kind: Kind; speaker: string | Speaker | null; live: unknown; utterances: readonly unknown[];
};
type Rule = (next: Next, data: Fields, draft: Draft<State>, event: StreamEvent) => void;

/** The state before the first event. */
export function initialState<K extends Kind>(kind: K): States[K] {
  return {
    kind, stage: null, title: null, phase: null, summary: null, turnCount: 0, followers: null, participants: [],
    utterances: [], events: [], turns: [], gap: null, clientId: null, lastEventId: null, caughtUp: false,
    speaker: null, live: liveOf(kind, []),
  } as unknown as States[K];
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
  readonly #max: number;
  /** The lists that this draft made, and may therefore change in place. */
  readonly #own = new Set<readonly unknown[]>();

  constructor(state: S, maxUtterances: number = Infinity) {
    this.state = { ...state };
    this.#max = maxUtterances;
  }

  /** @returns the event with an id that is its own, or null if it was folded before */
  add({ type, data, id: told }: StreamEvent): StreamEvent | null {
    const next = this.state as unknown as Next;
    const id = SETS_CURSOR.has(type) ? told : HAS_NO_ID.has(type) ? null : ownId(next, told);
    if (id === undefined) return null;
    const event = { type, data, id };
    const { turns } = next;
    if (type !== 'gap') this.#record(next, event);
    (next.kind === 'debate' ? DEBATE : CONVERSATION).get(type)?.(next, isObject(data) ? data : {}, this as unknown as Draft<State>, event);
    if (type === 'gap') this.#record(next, event);
    if (next.turns !== turns) next.live = liveOf(next.kind, next.turns);
    return event;
  }

  #record(next: Next, event: StreamEvent): void {
    if (event.id !== null) next.lastEventId = event.id;
    if (event.type === 'gap' || (event.id !== null && event.type !== 'snapshot')) this.push('events', event);
  }

  push(key: 'events' | 'utterances', item: unknown): void {
    const next = this.state as unknown as Record<typeof key, unknown[]>;
    if (!this.#own.has(next[key])) this.#own.add(next[key] = [...next[key]]);
    next[key].push(item);
    if (next[key].length > this.#max) next[key].shift();
  }
}

// Ids -------------------------------------------------------------------------------------------

const SETS_CURSOR = new Set(['gap', 'snapshot']);
const HAS_NO_ID = new Set(['connected', 'connection_established', 'busy', 'token', 'conversation_token']);

/**
 * The id that is the event's own; null for a transient event, undefined for a repetition.
 *
 * Past the live edge an unchanged id means a transient event; before it, where all is durable, one sent twice.
 */
function ownId(state: Next, id: string | null): string | null | undefined {
  const [epoch, seq] = parts(id);
  if (epoch === '') return null;
  const [lastEpoch, lastSeq] = parts(state.lastEventId);
  if (epoch !== lastEpoch || seq > lastSeq) return id;
  return seq === lastSeq && state.caughtUp ? null : undefined;
}

function parts(id: string | null): [epoch: string, seq: number] {
  const [, epoch = '', seq] = /^([a-z0-9]+)-(\d+)$/.exec(id ?? '') ?? [];
  return [epoch, Number(seq)];
}

// What each event means -------------------------------------------------------------------------

const greet: Rule = (next, data) => {
  if (data.type === 'heartbeat') return;
  next.caughtUp = false;
  next.clientId = text(data.clientId);
};

/** The server's own fold, right whatever was missed; its `open` takes the place of our tokens. */
const snapshot: Rule = (next, data) => {
  next.caughtUp = true;
  next.stage = text(data.status) as Status | null ?? next.stage;
  next.title = text(data.title) ?? next.title;
  next.phase = text(data.phase) ?? next.phase;
  next.turnCount = number(data.turnCount) ?? next.turnCount;
  next.summary = text(data.summary) ?? next.summary;
  next.followers = number(data.subscribers);
  next.turns = objects(data.open).map((open) => ({
    speaker: text(open.name) ?? text(open.participant) ?? '', participant: text(open.participant) ?? '',
    persona: text(open.persona), segment: text(open.segment), text: text(open.text) ?? '',
  }));
  const name = text(data.speaker);
  if (name !== null && name !== (isObject(next.speaker) ? next.speaker.name : next.speaker)) {
    const turn = next.turns.find(({ speaker }) => speaker === name);
    const known = next.participants.find((participant) => participant.name === name);
    speak(next, turn?.participant ?? known?.id ?? null, name, turn?.persona ?? known?.personaSlug ?? null);
  }
};

/** History that cannot be replayed. What is not of this telling any more is forgotten, and told anew. */
const gap: Rule = (next, data) => {
  if (data.reason !== 'expired') Object.assign(next, initialState(next.kind), { clientId: next.clientId });
  next.gap = { requested: text(data.requested), reason: data.reason as Gap['reason'], missed: number(data.missed) };
  next.turns = [];
};

const started: Rule = (next, data) => {
  next.stage = 'live';
  next.title = text(data.title) ?? next.title;
  next.participants = (Array.isArray(data.participants) ? data.participants : []).map((one: unknown) => (
    isObject(one) ? { ...one, id: text(one.id) ?? '', name: text(one.name) ?? '', isHost: one.isHost === true }
      : { id: String(one), name: String(one), isHost: false }) satisfies Participant);
};

const phase: Rule = (next, data) => {
  begin(next);
  next.phase = text(data.phase) ?? next.phase;
};

const token: Rule = (next, data) => {
  const name = text(data.speaker) ?? '';
  hear(next, { speaker: name, participant: name, persona: null, segment: text(data.segment), text: text(data.token) ?? '' });
};

const conversationToken: Rule = (next, data) => {
  hear(next, {
    speaker: text(data.personaName) ?? '', participant: text(data.participantId) ?? '', persona: text(data.personaSlug),
    segment: text(data.segment), text: text(data.token) ?? '',
  });
};

const utterance: Rule = (next, data, draft) => {
  const name = text(data.speaker);
  next.turns = next.turns.filter((turn) => turn.speaker !== name);
  next.turnCount += 1;
  next.phase = text(data.phase) ?? next.phase;
  said(next, data, draft);
  if (data.interjection !== true || next.turns.length === 0) speak(next, name, name, null);
};

const conversationUtterance: Rule = (next, data, draft) => {
  const slug = text(data.personaSlug);
  const ended = next.turns.find((turn) => turn.persona === slug);
  const known = next.participants.find((participant) => participant.personaSlug === slug);
  next.turns = next.turns.filter((turn) => turn.persona !== slug);
  next.turnCount = number(data.turnCount) ?? next.turnCount + 1;
  said(next, data, draft);
  if (data.interjection !== true || next.turns.length === 0) {
    speak(next, ended?.participant ?? known?.id ?? null, text(data.speakerName), slug);
  }
};

const speakerChanged: Rule = (next, data) => {
  begin(next);
  speak(next, text(data.speakerId), text(data.speakerName), text(data.personaSlug));
};

const contextUpdated: Rule = (next, data) => {
  next.summary = text(data.summary) ?? next.summary;
  next.turnCount = number(data.turnCount) ?? next.turnCount;
};

const becomes = (stage: Status): Rule => (next) => {
  next.stage = stage;
  if (stage === 'completed') next.turns = [];
};

const HUBS: [string, Rule][] = [['snapshot', snapshot], ['gap', gap], ['phase_transition', phase]];
const DEBATE = new Map<string, Rule>([
  ...HUBS, ['connected', greet], ['debate_started', started], ['token', token], ['utterance', utterance],
  ['summary', contextUpdated], ['pause', becomes('paused')], ['resume', becomes('live')], ['complete', becomes('completed')],
]);
const CONVERSATION = new Map<string, Rule>([
  ...HUBS, ['connection_established', greet], ['conversation_started', started], ['conversation_token', conversationToken],
  ['conversation_utterance', conversationUtterance], ['conversation_speaker_changed', speakerChanged],
  ['conversation_context_updated', contextUpdated], ['conversation_paused', becomes('paused')],
  ['conversation_resumed', becomes('live')], ['conversation_completed', becomes('completed')],
]);

/** The types that a stream of this kind is read by. An EventSource hears only those that it was told. */
export function eventTypes(kind: Kind): string[] {
  return kind === 'debate' ? [...DEBATE.keys(), 'intervention_response', 'error', 'busy'] : [...CONVERSATION.keys(), 'conversation_error', 'busy'];
}

/** The event that ends a stream of this kind. */
export const finalType = (kind: Kind): string => (kind === 'debate' ? 'complete' : 'conversation_completed');

// Pieces ----------------------------------------------------------------------------------------

/** A stream on which something happens is live, even if nobody announced its start. */
function begin(next: Next): void {
  if (next.stage === null || next.stage === 'waiting') next.stage = 'live';
}

/** Adds a token to what its voice has said so far. */
function hear(next: Next, turn: LiveTurn): void {
  begin(next);
  const same = next.turns.findIndex(({ participant, segment }) => participant === turn.participant && segment === turn.segment);
  const before = next.turns[same];
  next.turns = before ? next.turns.map((open) => (open === before ? { ...turn, text: before.text + turn.text } : open)) : [...next.turns, turn];
  speak(next, turn.participant, turn.speaker, turn.persona);
}

function said(next: Next, data: Fields, draft: Draft<State>): void {
  begin(next);
  draft.push('utterances', data);
}

/** Gives somebody the floor. */
function speak(next: Next, id: string | null, name: string | null, personaSlug: string | null): void {
  if (name === null) return;
  if (next.kind === 'debate') { next.speaker = name; return; }
  const now = next.speaker as Speaker | null;
  if (now?.id !== id || now.name !== name || now.personaSlug !== personaSlug) next.speaker = { id, name, personaSlug };
}

function liveOf(kind: Kind, turns: readonly LiveTurn[]): LiveTurn | null | ReadonlyMap<string, LiveTurn> {
  return kind === 'debate' ? turns.at(-1) ?? null : new Map(turns.map((turn) => [turn.participant, turn]));
}

const isObject = (value: unknown): value is Fields => typeof value === 'object' && value !== null;
const text = (value: unknown): string | null => (typeof value === 'string' && value !== '' ? value : null);
const number = (value: unknown): number | null => (typeof value === 'number' ? value : null);
const objects = (value: unknown): Fields[] => (Array.isArray(value) ? value.filter(isObject) : []);
