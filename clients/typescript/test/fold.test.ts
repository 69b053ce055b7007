import { describe, expect, test } from 'vitest';

import { type DebateState, type Kind, type StreamEvent, fold, initialState } from '../src/index.js';
import { EPOCH, said, snapshot, transcript, transcripts } from './support.js';

type Told = [type: string, data: unknown, id?: number | string | undefined];

/** Folds events, of which those without an id repeat the last one, as an EventSource does. */
function play<K extends Kind>(kind: K, told: Told[], state = initialState(kind)): typeof state {
  let last = state.lastEventId;
  for (const [type, data, id] of told) {
    if (id !== undefined) last = typeof id === 'number' ? `${EPOCH}-${id}` : id;
    const before = structuredClone(state);
    const next = fold(state, { type, data, id: last });
    expect(state, `${type} changed the state it was given`).toEqual(before);
    state = next;
  }
  return state;
}

const texts = (state: { utterances: readonly { content: string }[] }): string[] => state.utterances.map(({ content }) => content);
const open = (state: { turns: DebateState['turns'] }): string[] => state.turns.map(({ speaker, text }) => `${speaker}: ${text}`);
const hello: Told = ['connected', { clientId: 'c', debateId: 'd' }];
const edge = (id?: number | string, more: object = {}): Told => ['snapshot', snapshot(more), id];
const heard = (speaker: string, token: string, segment?: string): Told => ['token', { speaker, token, ...(segment && { segment }) }];

describe('golden streams, shared with the server’s own tests', () => {
  test('there are some of each kind', () => {
    expect(transcripts.filter((name) => name.startsWith('debate')).length).toBeGreaterThan(10);
    expect(transcripts.filter((name) => name.startsWith('conversation')).length).toBeGreaterThan(10);
  });

  test.each(transcripts)('%s folds to what its last snapshot and its utterances say', (name) => {
    const kind: Kind = name.startsWith('debate') ? 'debate' : 'conversation';
    const events = transcript(name);
    let state: ReturnType<typeof initialState<Kind>> = initialState(kind);
    for (const event of events) state = fold(state, event);

    const at = events.findLastIndex(({ type }) => type === 'snapshot');
    const told = events[at]?.data as { title: string | null; phase: string | null; status: string };
    const after = events.slice(at + 1).map(({ type }) => type);
    const isFinal = (type: string): boolean => type === 'complete' || type === 'conversation_completed';
    if (after.length === 0) expect(state).toMatchObject({ title: told.title, phase: told.phase, stage: told.status });
    expect(state.stage === 'completed').toBe(events.some(({ type }) => isFinal(type)));
    if (!events.some(({ type }) => type === 'gap')) {
      expect(texts(state)).toEqual(events.filter(({ type }) => type.endsWith('utterance')).map(({ data }) => (data as { content: string }).content));
    }
    expect(state.lastEventId).toBe(events.at(-1)?.id ?? null);
    expect(state.clientId).toBe('6f1c2b4e-0d3a-4c55-9e1f-7a8b9c0d1e2f');
    expect(state.caughtUp).toBe(at >= 0);
  });

  // Nobody is told again what came after the snapshot, but for the end.
  test.each(transcripts.filter((name) => !/_gap_|_begins|_live/.test(name)))('%s, told twice, doubles nothing', (name) => {
    const kind: Kind = name.startsWith('debate') ? 'debate' : 'conversation';
    const events = transcript(name);
    let once: ReturnType<typeof initialState<Kind>> = initialState(kind);
    for (const event of events) once = fold(once, event);
    let twice = once;
    for (const event of events) twice = fold(twice, event);
    expect(texts(twice)).toEqual(texts(once));
    expect(twice.events).toEqual(once.events);
    expect(open(twice)).toEqual(open(once));
  });
});

describe('a debate', () => {
  test('whose summary no snapshot knows keeps it', () => {
    expect(play('debate', [hello, ['summary', { summary: 'So far.' }, 1], edge(1)]).summary).toBe('So far.');
  });

  test('that is told twice of a beginning that is missing doubles nothing', () => {
    const told: Told[] = [hello, ['gap', { requested: 'earliest', reason: 'expired', missed: 5 }, 5], ['utterance', said('Pro', 'a'), 6], edge(6)];
    const once = play('debate', told);
    const twice = play('debate', told, once);
    expect(texts(twice)).toEqual(['a']);
    expect(twice.events).toEqual(once.events);
    expect(twice.lastEventId).toBe(`${EPOCH}-6`);
  });

  test('that nobody has published to is waiting', () => {
    expect(play('debate', [hello, ['snapshot', snapshot({ status: 'waiting' }), 'earliest']]))
      .toMatchObject({ stage: 'waiting', caughtUp: true, lastEventId: 'earliest', utterances: [], live: null });
  });

  test('grows from tokens, and the utterance takes their place', () => {
    const state = play('debate', [hello, edge(1), heard('Pro', 'Good '), heard('Pro', 'evening'), heard('Con', 'But')]);
    expect(open(state)).toEqual(['Pro: Good evening', 'Con: But']);
    expect(state).toMatchObject({ speaker: 'Con', live: { text: 'But' } });
    const after = play('debate', [['utterance', said('Pro', 'Good evening.'), 2]], state);
    expect(texts(after)).toEqual(['Good evening.']);
    expect(open(after)).toEqual(['Con: But']);
    expect(after).toMatchObject({ speaker: 'Pro', turnCount: 1, phase: 'opening' });
  });

  test('keeps a buffer for each speaker and segment, and an utterance ends all of its speaker’s', () => {
    const state = play('debate', [hello, edge(1), heard('Pro', 'a', '1'), heard('Pro', 'b', '2'), heard('Pro', 'c', '1')]);
    expect(open(state)).toEqual(['Pro: ac', 'Pro: b']);
    expect(play('debate', [['utterance', said('Pro', 'acb'), 2]], state).turns).toEqual([]);
  });

  test('leaves the floor to whom somebody interjects', () => {
    const state = play('debate', [hello, edge(1), heard('Con', 'As I'), ['utterance', said('Pro', 'Wrong!', { interjection: true }), 2]]);
    expect(state).toMatchObject({ speaker: 'Con', utterances: [{ interjection: true }] });
  });

  test('is paused, goes on, and ends', () => {
    const paused = play('debate', [hello, edge(1), ['pause', {}, 2]]);
    expect(paused.stage).toBe('paused');
    const resumed = play('debate', [['resume', {}, 3], heard('Pro', 'cut')], paused);
    expect(resumed.stage).toBe('live');
    expect(play('debate', [['complete', 'any JSON', 4]], resumed)).toMatchObject({ stage: 'completed', turns: [], live: null });
  });

  test('is named by its start, whose participants may be names or more', () => {
    const state = play('debate', [hello, ['debate_started', { title: 'Work?', participants: ['Pro', { id: 'c', name: 'Con', isHost: false }] }, 1]]);
    expect(state).toMatchObject({ title: 'Work?', stage: 'live', participants: [{ id: 'Pro', name: 'Pro' }, { id: 'c', name: 'Con' }] });
    expect(play('debate', [hello, ['debate_started', { title: 'Work?', participants: 'all' }, 1]]).participants).toEqual([]);
  });

  test('is not disturbed by unknown types, and keeps them', () => {
    const state = play('debate', [hello, edge(1), ['constructor', { a: 1 }, 2], ['toString', 7, 3], ['note', null, 4]]);
    expect(state.events.map(({ type }) => type)).toEqual(['constructor', 'toString', 'note']);
    expect(state.lastEventId).toBe(`${EPOCH}-4`);
  });
});

describe('a conversation', () => {
  const people = [{ id: 'p1', name: 'Ada', personaSlug: 'ada', isHost: true }, { id: 'p2', name: 'Mei', personaSlug: 'mei', isHost: false }];
  const greeting: Told = ['connection_established', { type: 'connection_established', sessionId: 's', clientId: 'c', timestamp: 1 }];
  const start: Told = ['conversation_started', { title: 'On doubt', participants: people }, 1];
  const token = (id: string, slug: string, text: string): Told =>
    ['conversation_token', { participantId: id, personaSlug: slug, personaName: slug, segment: '1', token: text }];
  const spoken = (slug: string, name: string, content: string, turnCount: number, id: number): Told =>
    ['conversation_utterance', { personaSlug: slug, speakerName: name, content, isHost: false, turnCount, timestamp: 1 }, id];

  test('has several voices at once', () => {
    const state = play('conversation', [greeting, start, edge(1), token('p1', 'ada', 'I '), token('p2', 'mei', 'You '), token('p1', 'ada', 'think')]);
    expect([...state.live.values()].map(({ text }) => text)).toEqual(['I think', 'You ']);
    expect(state.live.get('p2')?.persona).toBe('mei');
    const after = play('conversation', [spoken('ada', 'Ada', 'I think.', 3, 2)], state);
    expect([...after.live.keys()]).toEqual(['p2']);
    expect(after).toMatchObject({ turnCount: 3, speaker: { id: 'p1', name: 'Ada', personaSlug: 'ada' } });
  });

  test('knows who has the floor by what each event tells of them', () => {
    const state = play('conversation', [greeting, start, ['conversation_speaker_changed', { speakerId: 'p2', speakerName: 'Mei' }, 2]]);
    expect(state.speaker).toEqual({ id: 'p2', name: 'Mei', personaSlug: 'mei' });
    expect(play('conversation', [edge(2, { speaker: 'Ada' })], state).speaker).toEqual({ id: 'p1', name: 'Ada', personaSlug: 'ada' });
  });

  test('has a running summary', () => {
    const state = play('conversation', [greeting, start, ['conversation_context_updated', { summary: 'So far.', turnCount: 12 }, 2]]);
    expect(state).toMatchObject({ summary: 'So far.', turnCount: 12 });
  });

  test.each([{}, { phase: 1 }, { phase: null }, { phase: ['Opening'] }])('keeps its phase when it is told %j, which nobody has checked', (data) => {
    const state = play('conversation', [greeting, ['phase_transition', data, 1]]);
    expect(state).toMatchObject({ phase: null, stage: 'live' });
    const named = play('conversation', [['phase_transition', { phase: 'Opening' }, 2], ['phase_transition', data, 3]], state);
    expect(named).toMatchObject({ phase: 'Opening', lastEventId: `${EPOCH}-3` });
  });

  test('takes no heartbeat for a greeting', () => {
    const state = play('conversation', [greeting, start, edge(1), ['connection_established', { type: 'heartbeat' }]]);
    expect(state).toMatchObject({ caughtUp: true, clientId: 'c' });
  });
});

test('of a debate’s summaries, which nobody has checked, only words and numbers count', () => {
  const state = play('debate', [hello, ['utterance', said('Pro', 'a'), 1], ['summary', { summary: { toString: 1 }, turnCount: { toLocaleString: 1 } }, 2], ['summary', null, 3]]);
  expect(state).toMatchObject({ summary: null, turnCount: 1 });
  expect(play('debate', [['summary', { summary: 'So far.', turnCount: 7 }, 4]], state)).toMatchObject({ summary: 'So far.', turnCount: 7 });
});

describe('coming back', () => {
  test('a snapshot takes the place of the tokens, and is right about the rest', () => {
    const state = play('debate', [hello, edge(1), heard('Pro', 'stale'), hello,
      edge(1, { phase: 'rebuttal', speaker: 'Con', turnCount: 9, open: [{ participant: 'Con', name: 'Con', persona: null, segment: null, text: 'Fresh so' }] }), heard('Con', ' far')]);
    expect(open(state)).toEqual(['Con: Fresh so far']);
    expect(state).toMatchObject({ phase: 'rebuttal', turnCount: 9, speaker: 'Con' });
  });

  test('a replay of what was seen doubles nothing, even the last event alone', () => {
    const state = play('debate', [hello, ['utterance', said('Pro', 'a'), 1], ['utterance', said('Con', 'b'), 2], edge(2), hello,
      ['utterance', said('Con', 'b'), 2], ['utterance', said('Pro', 'c'), 3], edge(3)]);
    expect(texts(state)).toEqual(['a', 'b', 'c']);
  });

  test('what is sent to this client alone has no id of its own, and is no repetition', () => {
    const state = play('debate', [hello, ['utterance', said('Pro', 'a'), 1], edge(1)]);
    const event: StreamEvent = { type: 'debate_started', data: { title: 'Just for you' }, id: `${EPOCH}-1` };
    expect(fold(state, event).title).toBe('Just for you');
  });

  test('an expired cursor leaves what stands, and tells what is missing where it is missing', () => {
    const state = play('debate', [hello, ['utterance', said('Pro', 'a'), 1], edge(1), heard('Con', 'lost'), hello,
      ['gap', { requested: 'x-1', reason: 'expired', missed: 7 }, 8], ['utterance', said('Pro', 'z'), 9], edge(9)]);
    expect(texts(state)).toEqual(['a', 'z']);
    expect(state.gap).toEqual({ requested: 'x-1', reason: 'expired', missed: 7 });
    expect(state.events.map(({ type }) => type)).toEqual(['utterance', 'gap', 'utterance']);
  });

  test.each(['unknown', 'ahead', 'malformed'])('a cursor that is %s makes it forget all, and rebuild', (reason) => {
    const state = play('debate', [hello, ['debate_started', { title: 'Old' }, 1], ['utterance', said('Pro', 'old'), 2], edge(2), heard('Con', 'lost'), hello,
      ['gap', { requested: null, reason, missed: null }, 'zzzzzzzz-0'], ['utterance', said('Con', 'new'), 'zzzzzzzz-1']]);
    expect(texts(state)).toEqual(['new']);
    expect(state).toMatchObject({ title: null, turns: [], turnCount: 1, clientId: 'c', lastEventId: 'zzzzzzzz-1', gap: { reason } });
  });

  test('its events, folded again, give the same', () => {
    const state = play('debate', [hello, ['debate_started', { title: 'T' }, 1], ['utterance', said('Pro', 'a'), 2], ['pause', {}, 3], edge(3)]);
    let again = initialState('debate');
    for (const event of state.events) again = fold(again, event);
    expect(again).toMatchObject({ title: 'T', stage: 'paused', utterances: state.utterances, events: state.events });
  });

  test('lists that nothing was added to stay the same lists', () => {
    const state = play('debate', [hello, ['utterance', said('Pro', 'a'), 1], edge(1)]);
    const after = fold(state, { type: 'token', data: { speaker: 'Con', token: 'x' }, id: null });
    expect(after.utterances).toBe(state.utterances);
    expect(after.events).toBe(state.events);
  });
});
