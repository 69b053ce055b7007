/** CONV-011, "How to Test": `curl -N`, `launch`, and every kind of client sees the same. */

import assert from 'node:assert/strict';
import { execFile, spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { after, before, test } from 'node:test';
import { isDeepStrictEqual, promisify } from 'node:util';

import { EventSource } from 'eventsource';

import { followInPage, launchBrowser, seenInPage } from './support/browser.mjs';
import { CONVERSATION_TYPES, DEBATE_TYPES, complete, isPublished, numbers, phase, utterance } from './support/events.mjs';
import { startServer } from './support/server.mjs';
import { asEventSource, followRaw, parse } from './support/sse.mjs';
import { until } from './support/until.mjs';

const curl = async (...args) => (await promisify(execFile)('curl', ['--silent', '--show-error', ...args])).stdout;

let browser;
let server;

before(async () => {
  // Heartbeats go by each connection's own clock: without them all connections get the same bytes.
  [browser, server] = await Promise.all([launchBrowser(), startServer({ args: ['--heartbeat', '1h'] })]);
});
after(async () => {
  await browser?.close();
  await server?.end();
});

/** Terminal 1 of the specification. */
function curlN(url) {
  const child = spawn('curl', ['--silent', '-N', url], { stdio: ['ignore', 'pipe', 'inherit'] });
  const chunks = [];
  child.stdout.on('data', (chunk) => chunks.push(chunk));
  const ended = new Promise((resolve) => child.once('close', resolve));
  return { bytes: () => Buffer.concat(chunks), ended, kill: () => child.kill() };
}

function npmEventSource(url, types) {
  const source = new EventSource(url);
  const seen = [];
  for (const type of types) {
    source.addEventListener(type, ({ data, lastEventId }) => { if (data !== undefined) seen.push({ type, data, id: lastEventId }); });
  }
  return { source, seen };
}

/** What follows the snapshot: the same bytes for everyone who was there before the first event. */
function afterSnapshot(bytes) {
  const start = bytes.indexOf('event: snapshot\n');
  assert.notEqual(start, -1);
  return bytes.subarray(bytes.indexOf('\n\n', start) + 2);
}

/** Like `deepEqual`, for lists that are too long to be printed. */
function assertSeen(seen, expected, who) {
  const differs = expected.findIndex((event, index) => !isDeepStrictEqual(event, seen[index]));
  const shown = (event) => JSON.stringify(event)?.slice(0, 300);
  assert.equal(differs, -1, `${who}, event ${differs}: saw ${shown(seen[differs])} instead of ${shown(expected[differs])}`);
  assert.equal(seen.length, expected.length, `${who} saw more: ${shown(seen[expected.length])}`);
}

/**
 * Follows one stream with four clients, lets `happen` fill and complete it, and compares what they saw.
 *
 * @returns the events as all four of them saw them
 */
async function seenAlike(t, kind, types, happen) {
  const id = randomUUID();
  const url = server.url(kind, id);
  const kinds = `${kind}s`;
  const raw = await followRaw(url);
  const terminal = curlN(url);
  const npm = npmEventSource(url, types);
  t.after(() => {
    raw.close();
    terminal.kill();
    npm.source.close();
  });
  const page = await (await browser.newContext()).newPage();
  await page.goto(`${server.base}/`);
  await followInPage(page, url, types);
  await server.followers(kinds, 4);

  await happen(id);
  assert.equal(await raw.ended, true, 'the response comes to its proper end');
  assert.equal(await terminal.ended, 0);
  await server.followers(kinds, 0);

  const blocks = parse(raw.bytes());
  const expected = asEventSource(blocks).filter(isPublished);
  await until('both EventSources have given up', async () =>
    npm.source.readyState === 2 && await page.evaluate(() => window.followed.source.readyState) === 2);
  const inPage = (await seenInPage(page)).map(({ type, data, id }) => ({ type, data, id }));
  assert.ok(afterSnapshot(terminal.bytes()).equals(afterSnapshot(raw.bytes())), 'curl gets the very bytes');
  assertSeen(inPage.filter(isPublished), expected, 'Chromium');
  // The standard has an event without an id keep the last one; the npm package gives it none.
  const perEvent = blocks.filter((block) => block.type).map(({ type, data, id }) => ({ type, data, id: id ?? '' }));
  assertSeen(npm.seen.filter(isPublished), perEvent.filter(isPublished), 'npm eventsource');
  await page.context().close();
  return expected;
}

test('integration test with the actual endpoint: curl -N, launch with curl -X POST, observe events', async (t) => {
  const session = randomUUID();
  const terminal = curlN(`${server.base}/api/conversations/sessions/${session}/stream`);
  t.after(() => terminal.kill());
  await server.followers('conversations', 1);

  await curl('-X', 'POST', `${server.base}/api/conversations/sessions/${session}/launch`);

  for (const type of ['conversation_started', 'conversation_speaker_changed', 'conversation_token']) {
    await until(`${type} streams in terminal 1`, () => terminal.bytes().includes(`event: ${type}\n`));
  }
  await curl('-X', 'POST', `${server.base}/api/conversations/sessions/${session}/stop`);
  assert.equal(await terminal.ended, 0, 'curl ends with the conversation');
  await server.followers('conversations', 0);
});

test('a whole conversation: curl, npm eventsource, Chromium and a byte-exact reader see the same', async (t) => {
  let id;
  const seen = await seenAlike(t, 'conversation', CONVERSATION_TYPES, async (session) => {
    id = session;
    await server.steer('conversation', session, 'launch', { speed: 200 });
  });
  const durable = seen.filter(({ type }) => type !== 'conversation_token');
  const history = await server.history('conversation', id);
  assertSeen(durable.map(({ type, data, id }) => ({ type, data: JSON.parse(data), id })),
    history.map(({ id, type, data }) => ({ type, data, id })), 'the history');
  assert.ok(seen.filter(({ type }) => type === 'conversation_token').length > 100);
  assert.equal(seen.at(-1).type, 'conversation_completed');
  for (const { type, data } of seen) {
    const { type: inside, timestamp } = JSON.parse(data);
    assert.equal(inside, type);
    assert.equal(typeof timestamp, 'number');
  }
});

test('a debate of awkward payloads: all four see the same, as published', async (t) => {
  const contents = [
    'plain', '', 'line\nfeed', 'carriage\r\nreturn', 'a lone \r too', '\u2028 and \u2029', '\u0000', '\ufeffmark', ' leading and trailing ',
    'data: x\n\nid: 9\nevent: forged\n\n', '🎙️ Ünïcødé 漢字 עברית', 'x'.repeat(60_000),
  ];
  const seen = await seenAlike(t, 'debate', DEBATE_TYPES, async (debate) => {
    await server.publish('debate', debate, phase('opening'));
    for (const [number, content] of contents.entries()) {
      await server.say('debate', debate, { type: 'token', data: { speaker: 'Pro Advocate', token: content } });
      await server.publish('debate', debate, utterance(number, content));
    }
    // Laid out over several lines, with numbers that no double holds: it goes out digit for digit.
    const body = '{"type": "utterance",\r\n "data": {"id": "n",\n\t"timestamp": 12345678901234567890123,\r "phase": "p", "speaker": "s", "content": "c", "more": 1.10}}';
    const response = await fetch(server.url('debate', debate, 'events'), { method: 'POST', headers: { 'Content-Type': 'application/json' }, body });
    assert.equal(response.status, 201, await response.text());
    await server.publish('debate', debate, complete);
  });
  const said = seen.filter(({ type }) => type === 'utterance');
  assert.deepEqual(said.slice(0, -1).map(({ data }) => JSON.parse(data).content), contents);
  assert.match(said.at(-1).data, /"timestamp": ?12345678901234567890123,/);
  assert.match(said.at(-1).data, /"more": ?1\.10/);
  assert.deepEqual(seen.filter(({ type }) => type === 'token').map(({ data }) => JSON.parse(data).token), contents);
  const ids = seen.filter(({ type }) => type !== 'token').map(({ id }) => Number(id.split('-')[1]));
  assert.deepEqual(ids, numbers(1, ids.length), 'ids count without holes');
});

test('statistics tell debates from conversations, and return to zero', async () => {
  const [debate, ...conversations] = await Promise.all([
    followRaw(server.url('debate', randomUUID())),
    followRaw(server.url('conversation', 'twice')),
    followRaw(server.url('conversation', 'twice')),
  ]);
  await server.followers('conversations', 2);
  const { debates: d, conversations: c } = await server.stats();
  assert.deepEqual([d.count, d.clients, c.count, c.clients], [1, 1, 1, 2]);
  for (const { close } of [debate, ...conversations]) close();
  await server.followers('conversations', 0);
  await server.followers('debates', 0);
  const ended = await server.stats();
  assert.deepEqual([ended.debates.count, ended.conversations.count], [0, 0]);
});
