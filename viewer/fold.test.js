import assert from 'node:assert/strict';
import { test } from 'node:test';

import { eventTypes, fold, initialState, sideOf } from './fold.js';

const EPOCH = 'k3x9q2ab';
const START = 1_760_000_000_000;

/** `[type, data, seq]`; an event without a seq of its own carries the last one, as an EventSource reports it. */
function play(kind, events, state = initialState(kind)) {
  let last = state.cursor;
  for (const [type, data, seq] of events) {
    if (seq !== undefined) last = typeof seq === 'number' ? `${EPOCH}-${seq}` : seq;
    const before = structuredClone(state);
    const next = fold(state, { type, data, id: last });
    assert.deepEqual(state, before, `${type} changed the state it was given`);
    state = next;
  }
  return state;
}

/** What a reader sees of a state, one line for each thing. */
function shown(state) {
  const name = (index) => state.voices[index].name ?? `(${state.voices[index].slug ?? state.voices[index].id})`;
  return [
    ...state.entries.map((entry) => {
      if (entry.kind === 'speech') {
        return `${name(entry.voice)}: ${entry.text}${entry.interjection ? ' [interjects]' : ''}${entry.interrupted ? ' [interrupted]' : ''}`;
      }
      if (entry.kind === 'gap') return `gap: ${entry.reason} ${entry.missed}${entry.atStart ? ' at the start' : ''}`;
      return entry.kind === 'phase' ? `# ${entry.phase}` : `-- ${entry.kind}${entry.text === null ? '' : ` ${entry.text}`}`;
    }),
    ...state.open.map((speech) => `${name(speech.voice)}… ${speech.text}`),
  ];
}

function check(claim, kind, events, lines, facts = {}) {
  test(claim, () => {
    const state = play(kind, events);
    assert.deepEqual(shown(state), lines);
    for (const [fact, value] of Object.entries(facts)) {
      const actual = fact === 'speaker' && state.speaker !== null ? state.voices[state.speaker].name : state[fact];
      assert.deepEqual(actual, value, fact);
    }
  });
}

const hello = ['connected', { clientId: 'c', debateId: 'd' }];
const said = (speaker, content, seq, more = {}) => ['utterance', { id: `u${seq}`, speaker, content, phase: 'opening', ...more }, seq];
const heard = (speaker, token) => ['token', { speaker, token }];
const edge = (seq, more = {}) => ['snapshot', { status: 'live', phase: null, speaker: null, turnCount: 0, summary: null, open: [], subscribers: 1, ...more }, seq];
const phase = (name, seq) => ['phase_transition', { phase: name, timestamp: START }, seq];

// Debates ---------------------------------------------------------------------------------------

check('a debate nobody has published to is waiting', 'debate',
  [hello, ['snapshot', { status: 'waiting', open: [], subscribers: 3 }]],
  [], { status: 'waiting', caughtUp: true, followers: 3, cursor: null });

check('a start names the debate', 'debate',
  [hello, ['debate_started', { title: 'Work', proposition: 'Should it?', participants: ['Pro Advocate'] }, 1]],
  [], { title: 'Work', proposition: 'Should it?', status: 'live' });

check('tokens grow into a speech, and the utterance takes their place', 'debate',
  [hello, edge(1), heard('Pro', 'Good '), heard('Pro', 'evening'), heard('Con', 'But'), said('Pro', 'Good evening.', 2, { phase: undefined })],
  ['Pro: Good evening.', 'Con… But'], { turnCount: 1 });

check('an interjection leaves the floor to whom it interrupts', 'debate',
  [hello, edge(1), heard('Con', 'As I was'), said('Pro', 'Wrong!', 2, { phase: undefined, interjection: true }),
    heard('Con', ' saying'), said('Con', 'As I was saying—', 3, { phase: undefined, interrupted: true })],
  ['Pro: Wrong! [interjects]', 'Con: As I was saying— [interrupted]'], { speaker: 'Con' });

check('who interjects does not take the floor', 'debate',
  [hello, edge(1), heard('Con', 'As I'), said('Pro', 'Wrong!', 2, { phase: undefined, interjection: true })],
  ['Pro: Wrong! [interjects]', 'Con… As I'], { speaker: 'Con' });

check('phases are marked once, where they begin', 'debate',
  [hello, phase('opening', 1), said('Pro', 'a', 2), phase('opening', 3), phase('rebuttal', 4), said('Con', 'b', 5, { phase: 'REBUTTAL' })],
  ['# opening', 'Pro: a', '# rebuttal', 'Con: b'], { phase: 'rebuttal' });

check('without phase transitions the utterances tell the phase', 'debate',
  [hello, said('Pro', 'a', 1), said('Con', 'b', 2), said('Pro', 'c', 3, { phase: 'closing' })],
  ['# opening', 'Pro: a', 'Con: b', '# closing', 'Pro: c'], { phase: 'closing', speaker: 'Pro' });

check('pause, resume, error and the end are told', 'debate',
  [hello, ['pause', { reason: 'tea' }, 1], ['resume', {}, 2], ['error', { message: 'model overloaded' }, 3], heard('Pro', 'cut'), ['complete', {}, 4]],
  ['-- pause tea', '-- resume', '-- error model overloaded', '-- complete'], { status: 'completed', caughtUp: false });

check('an intervention is answered in the chair’s voice by default', 'debate',
  [hello, ['intervention_response', { response: 'Yes.', question: 'Is it?' }, 1]],
  ['Moderator: Yes.'], { speaker: 'Moderator' });

check('elapsed time counts from the first timestamp, number or ISO', 'debate',
  [hello, phase('opening', 1), said('Pro', 'a', 2, { timestamp: new Date(START + 5_000).toISOString() }), said('Pro', 'b', 3, { timestamp: 12 })],
  ['# opening', 'Pro: a', 'Pro: b'], { startedAt: START, lastAt: START + 5_000 });

check('a timestamp that is no wall-clock time starts no clock', 'debate',
  [hello, said('Pro', 'a', 1, { timestamp: 12 })], ['# opening', 'Pro: a'], { startedAt: null });

check('unknown types pass by, and what they carry is counted', 'debate',
  [hello, edge(1), ['constructor', { a: 1 }, 2], ['vote_opened', {}, 3]], [], { cursor: `${EPOCH}-3` });

check('payloads that are not whole disturb nothing', 'debate',
  [hello, ['utterance', {}, 1], ['token', { token: 7 }], ['phase_transition', { phase: null }, 2], ['debate_started', { participants: [null, 3, 'Pro'] }, 3],
    ['snapshot', { open: 'none', status: 4 }, 3]],
  ['Unnamed speaker: '], { caughtUp: true });

// The snapshot ----------------------------------------------------------------------------------

check('a snapshot replaces the token buffers and is right about the rest', 'debate',
  [hello, edge(1), heard('Pro', 'stale'), hello,
    edge(1, { phase: 'rebuttal', speaker: 'Con', turnCount: 9, open: [{ participant: 'Con', persona: null, segment: null, text: 'Fresh so' }] }), heard('Con', ' far')],
  ['Con… Fresh so far'], { phase: 'rebuttal', speaker: 'Con', turnCount: 9 });

// Resume ----------------------------------------------------------------------------------------

check('a replay that repeats what was seen doubles nothing', 'debate',
  [hello, said('Pro', 'a', 1), said('Con', 'b', 2), edge(2), hello, said('Pro', 'a', 1), said('Con', 'b', 2), said('Pro', 'c', 3), edge(3)],
  ['# opening', 'Pro: a', 'Con: b', 'Pro: c']);

check('a replay that starts at the cursor itself doubles nothing', 'debate',
  [hello, said('Pro', 'a', 1), edge(1), hello, said('Pro', 'a', 1), edge(1)], ['# opening', 'Pro: a']);

check('an event sent to this client alone has no id of its own and is shown', 'debate',
  [hello, said('Pro', 'a', 1), edge(1), ['error', { message: 'your question was refused' }]],
  ['# opening', 'Pro: a', '-- error your question was refused']);

check('an event sent to this client alone is shown before there is any id', 'debate',
  [hello, ['snapshot', { status: 'waiting', open: [] }], ['error', { message: 'not yet' }]], ['-- error not yet']);

check('an expired cursor keeps what stands and says what is missing', 'debate',
  [hello, said('Pro', 'a', 1), edge(1), heard('Con', 'lost'), hello, ['gap', { requested: 'x', reason: 'expired', missed: 7 }, 8], said('Pro', 'z', 9), edge(9)],
  ['# opening', 'Pro: a', 'gap: expired 7', 'Pro: z']);

check('a first connect to a shortened history begins with its gap', 'debate',
  [hello, ['gap', { requested: 'earliest', reason: 'expired', missed: 4 }, 4], said('Pro', 'e', 5), edge(5)],
  ['gap: expired 4 at the start', '# opening', 'Pro: e']);

check('a server set back tells again from where it stands, once', 'debate',
  [hello, said('Pro', 'a', 1), said('Con', 'b', 2), said('Pro', 'lost', 3), edge(3), hello,
    ['gap', { requested: 'x', reason: 'ahead', missed: null }, 0], said('Pro', 'a', 1), said('Con', 'b', 2), edge(2, { turnCount: 2 }), said('Con', 'new', 3)],
  ['gap: ahead null at the start', '# opening', 'Pro: a', 'Con: b', 'Con: new'], { turnCount: 3 });

check('a stream begun anew is told below what stood', 'debate',
  [hello, said('Pro', 'old', 1), said('Con', 'older', 2), edge(2), hello,
    ['gap', { requested: 'x', reason: 'unknown', missed: null }, 'zzzzzzzz-0'], said('Con', 'new', 'zzzzzzzz-1'), edge('zzzzzzzz-1', { turnCount: 1 })],
  ['# opening', 'Pro: old', 'Con: older', 'gap: unknown null', '# opening', 'Con: new'], { cursor: 'zzzzzzzz-1', turnCount: 1 });

// Conversations ---------------------------------------------------------------------------------

const greeting = ['connection_established', { type: 'connection_established', sessionId: 's', timestamp: START - 60_000 }];
const heartbeat = ['connection_established', { type: 'heartbeat' }];
const people = [{ id: 'p1', name: 'Ada', personaSlug: 'ada', isHost: true }, { id: 'p2', name: 'Mei', personaSlug: 'mei', isHost: false }];
const convStart = ['conversation_started', { title: 'On doubt', participants: people, timestamp: START }, 1];
const convToken = (participantId, personaSlug, token) => ['conversation_token', { participantId, personaSlug, personaName: personaSlug, segment: '1', token }];
const convSaid = (personaSlug, speakerName, content, seq, turnCount) =>
  ['conversation_utterance', { personaSlug, speakerName, content, isHost: false, turnCount, timestamp: START + seq * 1000 }, seq];

check('a conversation is one voice for each persona, whatever tells of it', 'conversation',
  [greeting, convStart, ['conversation_speaker_changed', { speakerId: 'p2', speakerName: 'Mei' }, 2], edge(2, { speaker: 'p2' }),
    convToken('p2', 'mei', 'I '), convToken('p2', 'mei', 'think'), convSaid('mei', 'Mei', 'I think.', 3, 1), convToken('p1', 'ada', 'Do')],
  ['Mei: I think.', 'Ada… Do'],
  { speaker: 'Ada', turnCount: 1, voices: [{ id: 'p1', slug: 'ada', name: 'Ada', side: null, isHost: true }, { id: 'p2', slug: 'mei', name: 'Mei', side: null, isHost: false }] });

check('a voice keeps its first name when an id or a persona tells who it is', 'conversation',
  [greeting, convStart, ['conversation_speaker_changed', { speakerId: 'p2', speakerName: 'Dr Mei' }, 2], convSaid('ada', 'Ms Ada', 'Hello.', 3, 1), edge(3), convToken('p2', 'mei', 'Hi')],
  ['Ada: Hello.', 'Mei… Hi'], { startedAt: START });

check('a change of speaker is told by id before name', 'conversation',
  [greeting, convStart, ['conversation_speaker_changed', { speakerId: 'p2', speakerName: 'Dr Mei' }, 2]], [], { speaker: 'Mei' });

check('open speech from a snapshot learns its speaker’s name later', 'conversation',
  [greeting, edge(4, { open: [{ participant: 'p9', persona: 'skeptic', segment: '1', text: 'Hm' }] }),
    ['conversation_token', { participantId: 'p9', personaSlug: 'skeptic', personaName: 'The Skeptic', segment: '1', token: 'm' }]],
  ['The Skeptic… Hmm']);

check('a heartbeat is not a greeting', 'conversation', [greeting, edge(1), heartbeat], [], { caughtUp: true });

check('the running summary and turn count follow the context', 'conversation',
  [greeting, convStart, ['conversation_context_updated', { summary: 'So far.', turnCount: 12 }, 2]], [], { summary: 'So far.', turnCount: 12 });

check('a conversation pauses, resumes, fails and ends', 'conversation',
  [greeting, ['conversation_paused', {}, 1], ['conversation_resumed', {}, 2], ['conversation_error', { error: { message: 'no model' } }, 3], ['conversation_completed', {}, 4]],
  ['-- pause', '-- resume', '-- error no model', '-- complete'], { status: 'completed' });

// Small things ----------------------------------------------------------------------------------

test('sides are told by the words people use for them', () => {
  const sides = {
    'Pro Advocate': 'pro', 'pro_advocate': 'pro', 'The Proposition': 'pro', FOR: 'pro', 'Con Advocate': 'con', 'Advocate against': 'con',
    'Opposition': 'con', Moderator: 'moderator', 'Chair': 'moderator', 'Professor Conrad': null, 'Ada Okafor': null, '': null,
  };
  for (const [name, side] of Object.entries(sides)) assert.equal(sideOf(name), side, name);
});

test('an EventSource is told every name that the fold understands', () => {
  assert.ok(eventTypes('debate').includes('error'));
  assert.ok(eventTypes('conversation').includes('conversation_context_updated'));
});
