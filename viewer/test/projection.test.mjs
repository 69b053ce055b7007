/** What the client knows of a stream, laid out for the page. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { load } from './modules.mjs';

const { Projection } = await load('stream/projection.ts');
const { sideOf, statusOf } = await load('stream/view.ts');
const { scoreOf, barAt, growingOf, shares } = await load('watch/score.ts');
const { fold, initialState } = await load('stream/client.ts');

const AT = 1_790_000_000_000;
const utterance = (number, speaker, more = {}) =>
  ({ type: 'utterance', id: `abcdefgh-${number}`, data: { id: String(number), timestamp: AT + number * 1000, phase: 'opening', speaker, content: `speech ${number}`, ...more } });

function follow(kind, events) {
  const projection = new Projection(kind);
  let state = initialState(kind);
  let view = projection.view(state);
  for (const event of events) {
    state = fold(state, event);
    view = projection.view(state);
  }
  return { view, state, projection };
}

test('a debate: phases, speeches, interjections, pauses and the end, in order, with their times', () => {
  const { view } = follow('debate', [
    { type: 'debate_started', id: 'abcdefgh-1', data: { title: 'Cars?', proposition: 'Ban them.', participants: ['Pro Advocate', 'Con Advocate'] } },
    { type: 'phase_transition', id: 'abcdefgh-2', data: { phase: 'opening', timestamp: AT } },
    utterance(3, 'Pro Advocate', { interrupted: true }),
    utterance(4, 'Con Advocate', { interjection: true }),
    { type: 'pause', id: 'abcdefgh-5', data: { reason: 'coffee' } },
    { type: 'resume', id: 'abcdefgh-6', data: {} },
    { type: 'intervention_response', id: 'abcdefgh-7', data: { question: 'Why?', response: 'Because.' } },
    { type: 'error', id: 'abcdefgh-8', data: { error: { message: 'a model failed' } } },
    { type: 'complete', id: 'abcdefgh-9', data: {} },
  ]);
  assert.deepEqual(view.entries.map(({ kind }) => kind), ['phase', 'speech', 'speech', 'pause', 'resume', 'speech', 'error', 'complete']);
  assert.deepEqual(view.entries.filter(({ kind }) => kind === 'speech').map(({ voice, interjection, interrupted, question }) => [view.voices[voice].name, interjection, interrupted, question]), [
    ['Pro Advocate', false, true, null], ['Con Advocate', true, false, null], ['Moderator', false, false, 'Why?'],
  ]);
  assert.deepEqual(view.voices.map(({ side }) => side), ['pro', 'con', 'moderator']);
  assert.deepEqual(view.entries.filter((entry) => entry.text && entry.kind !== 'speech').map(({ text }) => text), ['coffee', 'a model failed']);
  assert.deepEqual([view.title, view.proposition, view.condition, view.startedAt, view.lastAt], ['Cars?', 'Ban them.', 'completed', AT, AT + 4000]);
});

test('whatever a publisher puts where nothing is checked, the page has words to draw', () => {
  const { view } = follow('debate', [
    { type: 'debate_started', id: 'abcdefgh-1', data: { title: 'T', participants: [null, [null], 5, 'Pro Advocate'] } },
    { type: 'summary', id: 'abcdefgh-2', data: { summary: { not: 'words' } } },
    { type: 'intervention_response', id: 'abcdefgh-3', data: { question: {}, response: [] } },
    { type: 'error', id: 'abcdefgh-4', data: null },
  ]);
  assert.deepEqual([view.summary, view.turnCount], [null, 0]);
  assert.ok(view.voices.every(({ name }) => typeof name === 'string'));
  assert.deepEqual(view.entries.map(({ kind, text }) => [kind, text]), [['speech', ''], ['error', null]]);
});

test('entries keep their identity as others come, so that only what is new is drawn', () => {
  const { view, state, projection } = follow('debate', [utterance(1, 'Pro'), utterance(2, 'Con')]);
  const later = projection.view(fold(state, utterance(3, 'Pro')));
  assert.equal(later.entries.length, 3);
  assert.ok(view.entries.every((entry, index) => later.entries[index] === entry));
  assert.equal(later.voices, view.voices);
  const again = projection.view(fold(state, { type: 'token', id: null, data: { speaker: 'Pro', token: 'x' } }));
  assert.equal(again.open[0].text, 'x');
});

test('a finished speech takes the place in which it grew, and the next one begins in another', () => {
  const token = (speaker, token) => ({ type: 'token', id: null, data: { speaker, token } });
  const { view, state, projection } = follow('debate', [token('Pro', 'a'), token('Con', 'b')]);
  const [pro, con] = view.open.map(({ key }) => key);
  assert.notEqual(pro, con);
  // All within one frame: Pro ends and begins anew, somebody who was not heard before is done at once.
  let next = state;
  for (const event of [utterance(1, 'Pro'), token('Pro', 'c'), utterance(2, 'Chair')]) next = fold(next, event);
  const later = projection.view(next);
  assert.deepEqual(later.entries.map(({ grewAs }) => grewAs), [pro, null]);
  assert.deepEqual(later.open.map(({ text }) => text), ['b', 'c']);
  assert.equal(later.open[0].key, con);
  assert.ok(![pro, con].includes(later.open[1].key));
});

test('a gap that begins the stream anew leaves only what came since, and says so', () => {
  const gap = { type: 'gap', id: 'zzzzzzzz-0', data: { requested: 'abcdefgh-2', reason: 'unknown', missed: null } };
  const { view } = follow('debate', [utterance(1, 'Pro'), utterance(2, 'Con'), gap, { ...utterance(1, 'Con'), id: 'zzzzzzzz-1' }]);
  assert.deepEqual(view.entries.map(({ kind, reason }) => reason ?? kind), ['unknown', 'speech']);
  assert.equal(view.entries[0].atStart, true);
});

test('what the server no longer keeps stands in the middle as a gap of so many events', () => {
  const gap = { type: 'gap', id: 'abcdefgh-7', data: { requested: 'abcdefgh-2', reason: 'expired', missed: 5 } };
  const { view } = follow('debate', [utterance(1, 'Pro'), utterance(2, 'Con'), gap, utterance(8, 'Pro')]);
  assert.deepEqual(view.entries.map(({ kind, missed }) => missed ?? kind), ['speech', 'speech', 5, 'speech']);
});

test('a conversation: one voice, whether it is met by id, by slug or by name, and several speak at once', () => {
  const token = (participantId, personaSlug, personaName, token) => ({ type: 'conversation_token', id: null, data: { participantId, personaSlug, personaName, segment: '0', token } });
  const { view } = follow('conversation', [
    { type: 'conversation_started', id: 'abcdefgh-1', data: { title: 'Sleep?', participants: [{ id: 'a', name: 'Ada', isHost: true }, { id: 'b', name: 'Ben', personaSlug: 'the-baker' }], timestamp: AT } },
    { type: 'conversation_speaker_changed', id: 'abcdefgh-2', data: { sessionId: 's', speakerId: 'a', speakerName: 'Ada', timestamp: AT } },
    { type: 'conversation_utterance', id: 'abcdefgh-3', data: { sessionId: 's', speakerName: 'Ada', personaSlug: 'the-historian', content: 'Well.', isHost: true, turnCount: 1, timestamp: AT } },
    { type: 'conversation_context_updated', id: 'abcdefgh-4', data: { sessionId: 's', summary: 'Nobody knows.', turnCount: 1, timestamp: AT } },
    token('a', 'the-historian', 'Ada', 'So '), token('b', 'the-baker', 'Ben', 'No'), token('a', 'the-historian', 'Ada', 'then'),
  ]);
  assert.deepEqual(view.voices.map(({ name, isHost, tone }) => [name, isHost, tone]), [['Ada', true, 0], ['Ben', false, 1]]);
  assert.deepEqual(view.open.map(({ voice, text }) => [voice, text]), [[0, 'So then'], [1, 'No']]);
  assert.equal(view.summary, 'Nobody knows.');
  assert.deepEqual(view.entries.map(({ kind, voice }) => [kind, voice]), [['speech', 0]]);
});

test('payloads of any shape are laid out as far as they go', () => {
  for (const data of [null, [], 'x', 7, { speaker: 5, content: {} }, { timestamp: 'never' }]) {
    const types = ['utterance', 'intervention_response', 'phase_transition', 'error', 'pause', 'debate_started', 'complete', 'unheard-of'];
    const { view } = follow('debate', types.map((type, index) => ({ type, id: `abcdefgh-${index + 1}`, data })));
    assert.ok(view.entries.every((entry) => entry.kind !== 'speech' || view.voices[entry.voice]));
  }
});

test('the words by which people name the sides', () => {
  for (const [name, side] of [['Pro Advocate', 'pro'], ['For', 'pro'], ['con_advocate', 'con'], ['The Opposition', 'con'], ['Moderator', 'moderator'], ['Conrad Prost', null], ['Ada', null]]) {
    assert.equal(sideOf(name), side, name);
  }
});

test('the link’s trouble is said before what was last known, but an end is an end', () => {
  const view = (condition) => ({ ...follow('debate', []).view, condition });
  assert.equal(statusOf(view('live'), 'reconnecting'), 'reconnecting');
  assert.equal(statusOf(view('paused'), 'open'), 'paused');
  assert.equal(statusOf(view(null), 'open'), 'waiting');
  assert.equal(statusOf(view('completed'), 'reconnecting'), 'completed');
});

test('the score: bars as long as what was said, a phase from its first word to the next phase', () => {
  const { view } = follow('debate', [
    utterance(1, 'Pro', { content: 'a'.repeat(300), phase: 'opening' }),
    { type: 'phase_transition', id: 'abcdefgh-2', data: { phase: 'rebuttals', timestamp: AT } },
    utterance(3, 'Con', { content: 'b'.repeat(700), phase: 'rebuttals' }),
  ]);
  const score = scoreOf(view.entries, [], true);
  assert.deepEqual(score.bars.map(({ voice, from, to }) => [voice, from, to]), [[0, 0, 300], [1, 300, 1000]]);
  assert.deepEqual(score.sections.map(({ phase, from, to }) => [phase, from, to]), [['rebuttals', 300, 1000]]);
  assert.equal(barAt(score, 299).voice, 0);
  assert.equal(barAt(score, 300).voice, 1);
  assert.equal(barAt(score, 5000).voice, 1);
  assert.deepEqual(shares(view, []).map(({ part, turns }) => [part, turns]), [[0.3, 1], [0.7, 1]]);
  const live = scoreOf(view.entries, growingOf([{ voice: 0, segment: '', text: 'c'.repeat(50) }, { voice: 1, segment: '', text: 'd'.repeat(200) }]), false);
  assert.deepEqual(live.bars.slice(2).map(({ from }) => from), [1000, 1000], 'who speaks at once begins at one point');
  assert.ok(live.extent > live.said, 'there is room for what is to come');
});
