/**
 * What the page knows of one stream, folded from its events: `fold(state, event) → state`.
 *
 * Pure: no DOM, no clock, no network, and no state is changed in place, so the page may compare by
 * identity what it drew with what is. Payloads come from anywhere and are never trusted to be whole.
 */

/** @typedef {{type: string, data: Record<string, any>, id: string | null}} StreamEvent */
/** @typedef {{id: string | null, slug: string | null, name: string | null, side: Side, isHost: boolean}} Voice */
/** @typedef {'pro' | 'con' | 'moderator' | null} Side  null: a voice that argues for neither side */
/** @typedef {{voice: number, text: string}} OpenSpeech  what a voice has said so far; `voice` indexes `voices` */
/**
 * One thing to draw in the transcript. `id` is the event's, and `offset` is in ms since the stream's start.
 * @typedef {{kind: 'speech', id: string | null, offset: number | null, voice: number, text: string,
 *   interjection: boolean, interrupted: boolean, question: string | null}
 *   | {kind: 'phase', id: string | null, offset: number | null, phase: string}
 *   | {kind: 'pause' | 'resume' | 'complete' | 'error', id: string | null, offset: number | null, text: string | null}
 *   | {kind: 'gap', id: string | null, reason: string, missed: number | null, atStart: boolean}} Entry
 */
/**
 * @typedef {object} State
 * @property {'debate' | 'conversation'} kind
 * @property {'unknown' | 'waiting' | 'live' | 'paused' | 'completed'} status
 * @property {string | null} title
 * @property {string | null} proposition
 * @property {string | null} phase
 * @property {boolean} announcesPhases  whether a phase_transition came: then utterances don't set the phase
 * @property {number | null} speaker  index into `voices`
 * @property {number} turnCount
 * @property {string | null} summary
 * @property {number | null} followers
 * @property {number | null} startedAt  ms since the epoch, by the publisher's clock
 * @property {number | null} lastAt
 * @property {Voice[]} voices  in the order in which they were first heard of; only grows
 * @property {Entry[]} entries
 * @property {OpenSpeech[]} open
 * @property {string | null} cursor  the id of the last durable event seen
 * @property {boolean} caughtUp  whether this connection has reached the live edge
 */

/** @returns {State} */
export function initialState(kind) {
  return {
    kind, status: 'unknown', title: null, proposition: null, phase: null, announcesPhases: false,
    speaker: null, turnCount: 0, summary: null, followers: null, startedAt: null, lastAt: null,
    voices: [], entries: [], open: [], cursor: null, caughtUp: false,
  };
}

/** @param {State} state @param {StreamEvent} event @returns {State} */
export function fold(state, event) {
  const rule = RULES[state.kind].get(event.type) ?? ((unchanged) => unchanged);
  if (MOVES_NO_CURSOR.has(event.type)) return rule(state, event.data, null);
  if (SETS_CURSOR.has(event.type)) return rule({ ...state, cursor: event.id ?? state.cursor }, event.data, event.id);
  const id = ownId(state, event.id);
  if (id === SEEN) return state;
  return rule(withTime(id === null ? state : { ...state, cursor: id }, event.data), event.data, id);
}

/** The event names that a stream of this kind is read by. An EventSource hears only names it was told. */
export const eventTypes = (kind) => [...RULES[kind].keys()];

// Ids -------------------------------------------------------------------------------------------

const SEEN = Symbol('seen');
const MOVES_NO_CURSOR = new Set(['connected', 'connection_established', 'token', 'conversation_token']);
const SETS_CURSOR = new Set(['gap', 'snapshot']);

/**
 * The id that really belongs to this event, null for a transient one, SEEN for a repetition.
 *
 * An EventSource reports the *last* id for an event that has none. Past the live edge an unchanged id
 * therefore means a transient event; before it (a replay is all durable) it means one sent twice.
 */
function ownId(state, id) {
  const [epoch, seq] = parseId(id);
  const [lastEpoch, lastSeq] = parseId(state.cursor);
  if (seq === null) return null;
  if (epoch !== lastEpoch || seq > lastSeq) return id;
  return seq === lastSeq && state.caughtUp ? null : SEEN;
}

/** `<epoch>-<seq>` → its two halves; seq is null for anything else. */
function parseId(id) {
  const match = /^([a-z0-9]+)-(\d+)$/.exec(id ?? '');
  return match ? [match[1], Number(match[2])] : [null, null];
}

// What each event means -------------------------------------------------------------------------

const greet = (state) => ({ ...state, caughtUp: false });

/** Heartbeats of conversations reuse the greeting's name, and mean nothing here. */
const greetConversation = (state, data) => (data.type === 'heartbeat' ? state : greet(state));

/** The server's own fold, right whatever was missed; its `open` replaces our token buffers. */
function snapshot(state, data) {
  let next = {
    ...state,
    caughtUp: true,
    status: text(data.status) ?? state.status,
    phase: text(data.phase) ?? state.phase,
    turnCount: number(data.turnCount) ?? state.turnCount,
    summary: text(data.summary) ?? state.summary,
    followers: number(data.subscribers) ?? state.followers,
    open: [],
  };
  for (const speech of list(data.open)) {
    next = hear(next, state.kind === 'debate'
      ? { name: text(speech.participant) }
      : { id: text(speech.participant), slug: text(speech.persona) }, text(speech.text) ?? '');
  }
  const speaker = text(data.speaker);
  if (speaker === null) return next;
  const known = next.voices.findIndex((voice) => [voice.name, voice.slug, voice.id].includes(speaker));
  return known < 0 ? withSpeaker(next, { name: speaker }) : { ...next, speaker: known };
}

/**
 * Events that can't be replayed. The replay goes on just after the gap's id: what this page holds from
 * there on is about to come again (a server set back to an earlier day) and must not stand twice.
 */
function gap(state, data, id) {
  const [epoch, seq] = parseId(id ?? state.cursor);
  const entries = state.entries.filter((entry) => {
    const [entryEpoch, entrySeq] = parseId(entry.id);
    return entryEpoch !== epoch || entrySeq === null || entrySeq <= seq;
  });
  const reason = text(data.reason) ?? 'unknown';
  // Only an expired cursor belongs to the same telling; otherwise everything is told afresh.
  const kept = reason === 'expired' ? state : {
    ...initialState(state.kind), title: state.title, proposition: state.proposition, voices: state.voices, cursor: state.cursor,
  };
  return append({ ...kept, entries, open: [] }, {
    kind: 'gap', id: null, reason, missed: number(data.missed), atStart: entries.length === 0,
  });
}

function started(state, data) {
  let next = {
    ...state, status: 'live', title: text(data.title) ?? state.title, proposition: text(data.proposition) ?? state.proposition,
  };
  for (const participant of list(data.participants)) {
    const who = typeof participant === 'string' ? { name: participant } : {
      id: text(participant.id), slug: text(participant.personaSlug), name: text(participant.name), isHost: participant.isHost === true,
    };
    if (who.name || who.slug) [next] = withVoice(next, who);
  }
  return next;
}

function phaseTransition(state, data, id) {
  return enterPhase({ ...begun(state), announcesPhases: true }, text(data.phase), offsetOf(state, data), id);
}

function enterPhase(state, phase, offset, id) {
  if (phase === null || phase === state.phase) return state;
  return append({ ...state, phase }, { kind: 'phase', id, offset, phase });
}

const token = (state, data) => hear(begun(state), { name: text(data.speaker) }, text(data.token) ?? '');

const conversationToken = (state, data) =>
  hear(begun(state), { id: text(data.participantId), slug: text(data.personaSlug), name: text(data.personaName) }, text(data.token) ?? '');

function utterance(state, data, id) {
  const next = state.announcesPhases ? state : enterPhase(state, text(data.phase), offsetOf(state, data), id);
  return speak(next, { name: text(data.speaker) }, data, id);
}

const conversationUtterance = (state, data, id) =>
  speak(state, { slug: text(data.personaSlug), name: text(data.speakerName), isHost: data.isHost === true }, data, id);

/** The payload of an intervention's answer is the publisher's own; these are the names in use. */
function interventionResponse(state, data, id) {
  const content = text(data.content) ?? text(data.response) ?? text(data.answer) ?? '';
  return speak(state, { name: text(data.speaker) ?? 'Moderator' }, { ...data, content }, id, text(data.question) ?? '');
}

/** A finished speech takes the place of what was heard of it token by token. */
function speak(state, who, data, id, question = null) {
  const [next, voice] = withVoice(begun(state), who);
  const interjection = data.interjection === true;
  return append({
    ...next,
    speaker: interjection && next.open.some((speech) => speech.voice !== voice) ? next.speaker : voice,
    turnCount: number(data.turnCount) ?? next.turnCount + 1,
    open: next.open.filter((speech) => speech.voice !== voice),
  }, {
    kind: 'speech', id, offset: offsetOf(next, data), voice, text: text(data.content) ?? '',
    interjection, interrupted: data.interrupted === true, question,
  });
}

const speakerChanged = (state, data) =>
  withSpeaker(begun(state), { id: text(data.speakerId), slug: text(data.personaSlug), name: text(data.speakerName) });

const contextUpdated = (state, data) => ({
  ...state, summary: text(data.summary) ?? state.summary, turnCount: number(data.turnCount) ?? state.turnCount,
});

/** A change of status that the transcript shows. */
const turn = (kind, status) => (state, data, id) => append(
  { ...state, status: status ?? state.status, open: kind === 'complete' ? [] : state.open },
  { kind, id, offset: offsetOf(state, data), text: text(data.message) ?? text(data.error?.message) ?? text(data.error) ?? text(data.reason) },
);

/** @type {Record<string, Map<string, (state: State, data: Record<string, any>, id: string | null) => State>>} */
const RULES = {
  debate: new Map(Object.entries({
    connected: greet, gap, snapshot, debate_started: started, phase_transition: phaseTransition, token, utterance,
    intervention_response: interventionResponse, pause: turn('pause', 'paused'), resume: turn('resume', 'live'),
    complete: turn('complete', 'completed'), error: turn('error', null),
  })),
  conversation: new Map(Object.entries({
    connection_established: greetConversation, gap, snapshot, conversation_started: started, conversation_token: conversationToken,
    conversation_utterance: conversationUtterance, conversation_speaker_changed: speakerChanged,
    conversation_context_updated: contextUpdated, conversation_paused: turn('pause', 'paused'),
    conversation_resumed: turn('resume', 'live'), conversation_completed: turn('complete', 'completed'),
    conversation_error: turn('error', null),
  })),
};

// Pieces ----------------------------------------------------------------------------------------

const append = (state, entry) => ({ ...state, entries: [...state.entries, entry] });

/** A stream on which somebody speaks is live, even if nobody announced its start. */
const begun = (state) => (state.status === 'unknown' || state.status === 'waiting' ? { ...state, status: 'live' } : state);

/** Adds tokens to what a voice has said so far. */
function hear(state, who, words) {
  const [next, voice] = withVoice(state, who);
  const known = next.open.some((speech) => speech.voice === voice);
  return {
    ...next,
    speaker: voice,
    open: known
      ? next.open.map((speech) => (speech.voice === voice ? { voice, text: speech.text + words } : speech))
      : [...next.open, { voice, text: words }],
  };
}

function withSpeaker(state, who) {
  const [next, speaker] = withVoice(state, who);
  return { ...next, speaker };
}

/**
 * Finds a voice by the first thing that it and the event both tell (id, slug, name), or adds it. No
 * conversation event carries all three for certain, so a voice learns them as they come.
 * @returns {[State, number]}
 */
function withVoice(state, { id = null, slug = null, name = null, isHost = false }) {
  if (id === null && slug === null && name === null) name = 'Unnamed speaker';
  const index = state.voices.findIndex((voice) => {
    if (id !== null && voice.id !== null) return voice.id === id;
    if (slug !== null && voice.slug !== null) return voice.slug === slug;
    return name !== null && voice.name === name;
  });
  if (index < 0) {
    const side = state.kind === 'debate' ? sideOf(name) : null;
    return [{ ...state, voices: [...state.voices, { id, slug, name, side, isHost }] }, state.voices.length];
  }
  const known = state.voices[index];
  const learnt = {
    ...known, id: known.id ?? id, slug: known.slug ?? slug, name: known.name ?? name, isHost: known.isHost || isHost,
  };
  if (Object.keys(learnt).every((key) => learnt[key] === known[key])) return [state, index];
  return [{ ...state, voices: state.voices.with(index, learnt) }, index];
}

/** Speakers may be called anything; these are the words by which people name the sides. @returns {Side} */
export function sideOf(name) {
  const words = (name ?? '').toLowerCase().split(/[^a-z]+/);
  const has = (...candidates) => candidates.some((word) => words.includes(word));
  if (has('moderator', 'chair', 'host')) return 'moderator';
  if (has('con', 'against', 'opposition', 'opponent', 'negative')) return 'con';
  if (has('pro', 'for', 'proposition', 'proponent', 'affirmative')) return 'pro';
  return null;
}

function withTime(state, data) {
  const at = timeOf(data);
  return at === null ? state : { ...state, startedAt: state.startedAt ?? at, lastAt: Math.max(state.lastAt ?? at, at) };
}

function offsetOf(state, data) {
  const at = timeOf(data);
  return at === null || state.startedAt === null ? null : Math.max(0, at - state.startedAt);
}

/** ms since the epoch from a number or an ISO date; anything before 2001 is no wall-clock time. */
function timeOf(data) {
  const at = typeof data.timestamp === 'string' ? Date.parse(data.timestamp) : data.timestamp;
  return Number.isFinite(at) && at > 1e12 ? at : null;
}

const text = (value) => (typeof value === 'string' && value !== '' ? value : null);
const number = (value) => (Number.isFinite(value) ? value : null);
const list = (value) => (Array.isArray(value) ? value.filter((item) => item !== null) : []);
