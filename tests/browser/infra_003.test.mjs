/** INFRA-003, "How to Test" and "Definition of Done", as they are written, in a real browser. */

import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { after, before, test } from 'node:test';

import { followInPage, inConsole, launchBrowser, readyState, seenInPage } from './support/browser.mjs';
import { layCable } from './support/cable.mjs';
import { DEBATE_TYPES, complete, numbers, phase, spoken, utterance } from './support/events.mjs';
import { startServer } from './support/server.mjs';
import { followRaw } from './support/sse.mjs';
import { quietFor, until } from './support/until.mjs';

/** Far beyond any test: whatever is noticed, a heartbeat had no part in it. */
const NO_HEARTBEAT = ['--heartbeat', '1h'];

let browser;
let server;

before(async () => {
  [browser, server] = await Promise.all([launchBrowser(), startServer({ args: ['--retry', '300ms', ...NO_HEARTBEAT] })]);
});
after(async () => {
  await browser?.close();
  await server?.end();
});

/** A tab on a page that this server serves. */
async function openTab(base = server.base) {
  const context = await browser.newContext();
  const page = await context.newPage();
  await page.goto(`${base}/`);
  return page;
}

test('1. manual testing: the lines for the browser console, word for word, hear a debate', async () => {
  const debate = '550e8400-e29b-41d4-a716-446655440000';
  const page = await openTab();
  const printed = [];
  page.on('console', (message) => printed.push(message.text()));

  await inConsole(page, `
const es = new EventSource('/api/debates/550e8400-e29b-41d4-a716-446655440000/stream');
es.addEventListener('utterance', (e) => console.log('Utterance:', e.data));
es.addEventListener('phase_transition', (e) => console.log('Phase:', e.data));
`);
  await server.followers('debates', 1);
  const [opening, speech] = [phase('opening'), utterance(1)];
  await server.publish('debate', debate, opening, speech);

  await until('both lines are printed', () => printed.length === 2);
  assert.deepEqual(printed, [`Phase: ${JSON.stringify(opening.data)}`, `Utterance: ${JSON.stringify(speech.data)}`]);
  await page.context().close();
  await server.followers('debates', 0);
});

test('3. reconnection testing: network off and on, and nothing is lost and nothing comes twice', async (t) => {
  const debate = randomUUID();
  const cable = await layCable({ port: server.port });
  t.after(() => cable.remove());
  const page = await openTab(cable.base);
  const resumes = [];
  page.on('request', async (request) => resumes.push((await request.allHeaders())['last-event-id']));
  await followInPage(page, `/api/debates/${debate}/stream`, DEBATE_TYPES);
  await server.followers('debates', 1);
  await server.publish('debate', debate, ...numbers(1, 5).map((number) => utterance(number)));
  const before = await until('five speeches are seen', async () => {
    const seen = await seenInPage(page);
    return spoken(seen).length === 5 && seen;
  });

  // Chromium's own "offline" refuses new connections and leaves open ones alone; the cable cuts those.
  await page.context().setOffline(true);
  cable.unplug();
  await server.followers('debates', 0);
  await server.publish('debate', debate, ...numbers(6, 40).map((number) => utterance(number)));
  await until('the browser has tried in vain', () => page.evaluate(() => window.followed.losses.length >= 2));
  assert.equal(await readyState(page), 0, 'it keeps trying');
  cable.plugIn();
  await page.context().setOffline(false);

  await server.followers('debates', 1);
  await server.publish('debate', debate, ...numbers(41, 45).map((number) => utterance(number)));
  await until('the last speech is seen', async () => spoken(await seenInPage(page)).includes(45));
  const seen = await seenInPage(page);
  assert.deepEqual(spoken(seen), numbers(1, 45));
  assert.equal(seen.filter(({ type }) => type === 'gap').length, 0);
  assert.equal(resumes.at(-1), before.at(-1).id, 'it came back with the last id it had seen');
  await page.context().close();
});

test('4. multiple clients: three tabs on one debate all receive a broadcast', async () => {
  const debate = randomUUID();
  const context = await browser.newContext();
  const tabs = await Promise.all([1, 2, 3].map(() => context.newPage()));
  for (const tab of tabs) {
    await tab.goto(`${server.base}/`);
    await followInPage(tab, `/api/debates/${debate}/stream`, DEBATE_TYPES);
  }
  await server.followers('debates', 3);
  const [id] = await server.publish('debate', debate, utterance(1));
  for (const tab of tabs) {
    await until('the tab has heard it', async () => spoken(await seenInPage(tab)).length === 1);
    const heard = (await seenInPage(tab)).find(({ type }) => type === 'utterance');
    assert.equal(heard.id, id);
  }
  const clients = await Promise.all(tabs.map(async (tab) => JSON.parse((await seenInPage(tab))[0].data).clientId));
  assert.equal(new Set(clients).size, 3, 'three clients, each with an id of its own');
  await context.close();
  await server.followers('debates', 0);
});

test('the endpoint has the headers that it must have', async () => {
  const { status, headers, close } = await followRaw(server.url('debate', randomUUID()));
  close();
  assert.equal(status, 200);
  assert.equal(headers['content-type'], 'text/event-stream');
  assert.equal(headers['cache-control'], 'no-cache, no-transform');
  // actix-http never writes `Connection: keep-alive` to an HTTP/1.1 client, for whom it is the default.
  assert.ok([undefined, 'keep-alive'].includes(headers.connection), headers.connection);
  assert.equal(headers['x-accel-buffering'], 'no');
});

for (const [how, leave] of [
  ['es.close()', (page) => page.evaluate(() => window.followed.source.close())],
  ['a closed tab', (page) => page.close()],
  ['a page left for another', (page) => page.goto('about:blank')],
]) {
  test(`unregistration: ${how} is noticed at once, without waiting for a heartbeat`, async () => {
    const debate = randomUUID();
    const page = await openTab();
    await followInPage(page, `/api/debates/${debate}/stream`, DEBATE_TYPES);
    await server.followers('debates', 1);
    await leave(page);
    await server.followers('debates', 0, 5_000);
    const logged = (message) => server.logged(message).find(({ stream }) => stream === `debate/${debate}`);
    const line = await until('it is logged', () => logged('subscriber disconnected'));
    assert.equal(line.subscriber, logged('subscriber connected').subscriber);
    assert.equal(line.reason, 'closed_by_client');
    await page.context().close();
  });
}

test('heartbeats keep a connection alive through a proxy that cuts idle ones', async (t) => {
  const [beating, silent] = await Promise.all([
    startServer({ args: ['--heartbeat', '200ms'] }),
    startServer({ args: NO_HEARTBEAT }),
  ]);
  t.after(() => Promise.all([beating.end(), silent.end()]));
  const cables = await Promise.all([beating, silent].map(({ port }) => layCable({ port, idleMs: 1_500 })));
  t.after(() => cables.forEach((cable) => cable.remove()));
  const [kept, cut] = await Promise.all(cables.map(({ base }) => followRaw(`${base}/api/debates/quiet/stream`)));

  assert.equal(await cut.ended, false, 'without heartbeats the proxy cuts it');
  await quietFor(1_500);
  assert.equal(cables[0].idleCuts(), 0);
  assert.equal((await beating.stats()).debates.clients, 1);
  const beats = kept.blocks().filter(({ comment }) => comment !== undefined);
  assert.ok(beats.length >= 5, `${beats.length} heartbeats`);
  assert.deepEqual(new Set(beats.map(({ comment }) => comment)), new Set(['heartbeat']));
  kept.close();
});

test('NFR-102: from publish to the page in less than 500 ms', async (t) => {
  const debate = randomUUID();
  const page = await openTab();
  await followInPage(page, `/api/debates/${debate}/stream`, DEBATE_TYPES);
  await server.followers('debates', 1);
  const latencies = [];
  for (const number of numbers(1, 20)) {
    const sentAt = Date.now();
    await server.publish('debate', debate, utterance(number));
    const heard = await until('it is heard', async () => (await seenInPage(page)).filter(({ type }) => type === 'utterance')[number - 1]);
    latencies.push(heard.at - sentAt);
  }
  latencies.sort((a, b) => a - b);
  t.diagnostic(`20 utterances: median ${latencies[10]} ms, slowest ${latencies.at(-1)} ms`);
  assert.ok(latencies[10] < 500, `median ${latencies[10]} ms`);
  await page.context().close();
});

test('an event of the vocabulary that is named like EventSource’s own error is told apart by its data', async () => {
  const debate = randomUUID();
  const page = await openTab();
  await followInPage(page, `/api/debates/${debate}/stream`, DEBATE_TYPES);
  await server.followers('debates', 1);
  await server.publish('debate', debate, { type: 'error', data: { message: 'the model is overloaded' } }, utterance(1));
  await until('both are seen', async () => spoken(await seenInPage(page)).length === 1);
  const [error] = (await seenInPage(page)).filter(({ type }) => type === 'error');
  assert.deepEqual(JSON.parse(error.data), { message: 'the model is overloaded' });
  assert.deepEqual(await page.evaluate(() => window.followed.losses), []);
  assert.equal(await readyState(page), 1);
  await page.context().close();
});

test('completion ends an EventSource for good: 204, and no further request', async () => {
  const debate = randomUUID();
  const page = await openTab();
  const answers = [];
  page.on('response', (response) => { if (response.url().includes(debate)) answers.push(response.status()); });
  await followInPage(page, `/api/debates/${debate}/stream`, DEBATE_TYPES);
  await server.followers('debates', 1);
  await server.publish('debate', debate, utterance(1), complete);

  await until('the browser has given up', async () => await readyState(page) === 2);
  assert.deepEqual(answers, [200, 204]);
  await quietFor(3_000); // ten times what it is told to wait before it tries again
  assert.deepEqual(answers, [200, 204]);
  const seen = await seenInPage(page);
  assert.equal(seen.filter(({ type }) => type === 'complete').length, 1);
  await page.context().close();
});
