/** `clients/typescript` in a real browser, against the built server: what a page survives. */

import assert from 'node:assert/strict';
import { once } from 'node:events';
import http from 'node:http';
import { after, before, test } from 'node:test';

import { launchBrowser } from './support/browser.mjs';
import { bundle } from './support/bundle.mjs';
import { layCable } from './support/cable.mjs';
import { complete, numbers, utterance } from './support/events.mjs';
import { startNginx } from './support/nginx.mjs';
import { startServer } from './support/server.mjs';
import { quietFor, until } from './support/until.mjs';

const PAGE = `
import { StrictMode } from 'react';
import { createRoot } from 'react-dom/client';
import { openStream } from '@clearside/sse-client';
import { useDebateStream } from '@clearside/sse-client/react';

export function follow(id: string, options: object) {
  const stream = openStream('debate', id, options);
  const statuses: string[] = [];
  const heard: string[] = [];
  const note = () => {
    const { status } = stream.getSnapshot();
    if (statuses.at(-1) !== status) statuses.push(status);
  };
  stream.on('utterance', ({ id }) => heard.push(id));
  const stop = stream.subscribe(note);
  note();
  window.followed = { stream, statuses, heard, stop };
}

/** An EventSource that is told what it hears, so that nothing but the client's own work is measured. */
class Fed extends EventTarget {
  readyState = 1;
  constructor() { super(); window.fed = this; }
  close() {}
  emit(type: string, data: unknown) { this.dispatchEvent(new MessageEvent(type, { data: JSON.stringify(data), lastEventId: '' })); }
}

/** So many tokens a millisecond, for so long; a new speech each second. */
export const feed = (perMs: number, ms: number) => new Promise<void>((done) => {
  const began = performance.now();
  let sent = 0;
  let second = 0;
  const timer = setInterval(() => {
    const due = Math.min(ms, performance.now() - began) * perMs;
    for (; sent < due; sent += 1) window.fed.emit('token', { speaker: 'Pro', token: 'ab ', segment: String(second) });
    if (performance.now() - began >= (second + 1) * 1000) {
      window.fed.emit('utterance', { id: String(second), timestamp: 1, phase: 'p', speaker: 'Pro', content: 'x' });
      second += 1;
    }
    if (sent >= ms * perMs) { clearInterval(timer); done(); }
  }, 4);
});

function Live({ id, isFed }: { id: string; isFed: boolean }) {
  const { live, status } = useDebateStream(id, isFed ? { EventSource: Fed as unknown as typeof EventSource, shareTabs: false } : {});
  window.renders = (window.renders ?? 0) + 1;
  return <p data-status={status}>{live?.text}</p>;
}
export const mount = (id: string, isFed = false) => createRoot(document.body.appendChild(document.createElement('main')))
  .render(<StrictMode><Live id={id} isFed={isFed} /><Live id={id} isFed={isFed} /></StrictMode>);

/** Measures frames until it is told to stop. */
export function watchFrames() {
  const gaps: number[] = [];
  let last = performance.now();
  let isOn = true;
  const frame = (now: number) => {
    gaps.push(now - last);
    last = now;
    if (isOn) requestAnimationFrame(frame);
  };
  requestAnimationFrame(frame);
  window.stopFrames = () => { isOn = false; return gaps; };
}
`;

const ARGS = ['--retry', '300ms', '--heartbeat', '1h'];

let browser;
let script;
let minute;
before(async () => {
  [browser, script] = await Promise.all([launchBrowser(), bundle(PAGE)]);
  minute = await beginMinute();
});
after(async () => {
  await minute?.end();
  await browser?.close();
});

/** A page with the package in it, and the requests that it makes for streams. */
async function openPage(base, context) {
  const page = await (context ?? await browser.newContext({ bypassCSP: true })).newPage();
  const requests = [];
  page.on('request', (request) => { if (request.url().includes('/stream')) requests.push(request); });
  await page.goto(`${base}/health/live`);
  await page.addScriptTag({ content: script });
  return { page, requests };
}

const follow = (page, id, options = {}) => page.evaluate(([id, options]) => window.bundle.follow(id, options), [id, options]);
const seen = (page) => page.evaluate(() => {
  const { status, error, utterances, live, attempt, lastEventId, followers } = window.followed.stream.getSnapshot();
  return { status, error, ids: utterances.map(({ id }) => Number(id)), live, attempt, lastEventId, followers, heard: window.followed.heard.map(Number) };
});
const statusIs = (page, status) => until(`the status is ${status}`, async () => (await seen(page)).status === status);
const hasHeard = (page, count) => until(`${count} utterances are there`, async () => (await seen(page)).ids.length === count);

/** What is claimed of a whole minute begins before the other tests and is looked at after them: it costs none of its own. */
async function beginMinute() {
  const [server, silent] = await Promise.all([startServer({ args: ['--retry', '300ms'] }), startServer({ args: ARGS })]);
  const proxies = await Promise.all([startNginx(server.port, 'defaults'), startNginx(silent.port, 'defaults')]);
  const [, last] = await server.publish('debate', 'over', utterance(1), complete);

  const over = [];
  for (const transport of ['auto', 'fetch', 'none']) {
    const opened = await openPage(server.base);
    if (transport === 'none') {
      await opened.page.evaluate((id) => { window.plain = new EventSource(`/api/debates/over/stream?lastEventId=${id}`); }, last);
      await until('it is closed', () => opened.page.evaluate(() => window.plain.readyState === 2));
    } else {
      await follow(opened.page, 'over', { transport, from: { lastEventId: last }, retry: { minMs: 50, maxMs: 50 } });
      await statusIs(opened.page, 'complete');
    }
    over.push({ transport, ...opened, asked: opened.requests.length });
  }
  const quiet = [];
  for (const proxy of proxies) {
    const opened = await openPage(proxy.base);
    await follow(opened.page, 'quiet', { transport: 'eventsource' });
    await statusIs(opened.page, 'open');
    quiet.push(opened);
  }
  const began = Date.now();
  return {
    over, quiet, silent,
    passes: () => quietFor(Math.max(0, began + 60_000 - Date.now())),
    async end() {
      for (const { page } of [...over, ...quiet]) await page.context().close();
      await Promise.all([...proxies, server, silent].map((one) => one.end()));
    },
  };
}

for (const transport of ['auto', 'fetch']) {
  test(`kill -9 in the middle of a speech, by ${transport}: it comes back with its cursor, and no text is lost or doubled`, async (t) => {
    let server = await startServer({ args: ARGS });
    t.after(() => server.end());
    const { page, requests } = await openPage(server.base);
    await follow(page, 'd', { transport });
    await statusIs(page, 'open');
    await server.publish('debate', 'd', ...numbers(1, 5).map((number) => utterance(number)));
    await server.say('debate', 'd', { type: 'token', data: { speaker: 'Pro Advocate', token: 'As I was' } });
    await until('it is being said', async () => (await seen(page)).live?.text === 'As I was');
    const before = await seen(page);

    await server.end('SIGKILL');
    await statusIs(page, 'reconnecting');
    await until('it has tried in vain', async () => (await seen(page)).attempt >= 2);
    assert.equal((await seen(page)).error.kind, 'network');
    server = await startServer({ args: ARGS, port: server.port, database: server.database });
    await server.publish('debate', 'd', ...numbers(6, 8).map((number) => utterance(number)));
    await hasHeard(page, 8);
    await statusIs(page, 'open');
    const now = await seen(page);
    assert.deepEqual(now.ids, numbers(1, 8));
    assert.deepEqual(now.heard, numbers(1, 8), 'and each was told once');
    assert.equal(now.live, null, 'the server has forgotten what was half said');
    assert.equal(now.error, null);
    const resumed = requests.at(-1);
    const cursor = (await resumed.allHeaders())['last-event-id'] ?? new URL(resumed.url()).searchParams.get('lastEventId');
    assert.equal(cursor, before.lastEventId);
    await page.context().close();
  });
}

test('close() is seen by the server at once, without waiting for a heartbeat', async (t) => {
  const server = await startServer({ args: ARGS });
  t.after(() => server.end());
  for (const transport of ['eventsource', 'fetch']) {
    const { page } = await openPage(server.base);
    await follow(page, `closing-${transport}`, { transport });
    await server.followers('debates', 1);
    const closed = await page.evaluate(() => { window.followed.stream.close(); return Date.now(); });
    const gone = await until('it is logged', () => server.logged('subscriber disconnected').find(({ stream }) => stream === `debate/closing-${transport}`), transport === 'fetch' ? 20_000 : 5_000);
    t.diagnostic(`${transport}: seen after ${Date.parse(gone.ts) - closed} ms`);
    assert.equal(gone.reason, 'closed_by_client');
    assert.equal((await seen(page)).status, 'closed');
    await page.context().close();
  }
});

test('offline and online again: it comes back at once, however long the browser would have waited', async (t) => {
  const server = await startServer({ args: ['--retry', '1h', '--heartbeat', '1h'] });
  t.after(() => server.end());
  const cable = await layCable({ port: server.port });
  t.after(() => cable.remove());
  const { page } = await openPage(cable.base);
  await follow(page, 'd');
  await statusIs(page, 'open');
  await page.context().setOffline(true);
  cable.unplug();
  await statusIs(page, 'reconnecting');
  await server.publish('debate', 'd', utterance(1));
  cable.plugIn();
  await page.context().setOffline(false);
  await hasHeard(page, 1);
  await statusIs(page, 'open');
  await page.context().close();
});

test('seven tabs share one connection, and when the one that has it goes, another takes over', async (t) => {
  const server = await startServer({ args: ARGS });
  t.after(() => server.end());
  const context = await browser.newContext({ bypassCSP: true });
  const tabs = [];
  await server.publish('debate', 'shared', utterance(1));
  for (let tab = 0; tab < 7; tab += 1) {
    tabs.push(await openPage(server.base, context));
    await follow(tabs.at(-1).page, 'shared');
    await statusIs(tabs.at(-1).page, 'open');
  }
  await server.followers('debates', 1);
  await server.publish('debate', 'shared', utterance(2));
  await server.say('debate', 'shared', { type: 'token', data: { speaker: 'Pro Advocate', token: 'So' } });
  for (const { page } of tabs) {
    await hasHeard(page, 2);
    await until('the token is there', async () => (await seen(page)).live?.text === 'So');
  }
  assert.equal(tabs.flatMap(({ requests }) => requests).length, 1);

  const leader = tabs.findIndex(({ requests }) => requests.length === 1);
  const [gone] = tabs.splice(leader, 1);
  await gone.page.close();
  await until('another has connected', () => tabs.flatMap(({ requests }) => requests).length === 1);
  await server.followers('debates', 1);
  await server.publish('debate', 'shared', utterance(3));
  await server.say('debate', 'shared', { type: 'token', data: { speaker: 'Pro Advocate', token: ' be it' } });
  for (const { page } of tabs) {
    await hasHeard(page, 3);
    const now = await seen(page);
    assert.deepEqual(now.ids, [1, 2, 3]);
    assert.deepEqual(now.heard, [1, 2, 3], 'each was told once');
    await until('the text has gone on', async () => /be it$/.test((await seen(page)).live?.text ?? ''));
  }
  await server.publish('debate', 'shared', complete);
  for (const { page } of tabs) await statusIs(page, 'complete');
  await server.followers('debates', 0);
  await context.close();
});

test('a sandboxed frame, which has no locks, connects by itself and goes on running', async (t) => {
  const server = await startServer({ args: ARGS });
  t.after(() => server.end());
  const { page } = await openPage(server.base);
  t.after(() => page.context().close());
  await page.evaluate(() => {
    const frame = document.body.appendChild(document.createElement('iframe'));
    frame.sandbox = 'allow-scripts';
    frame.srcdoc = '<p>framed</p>';
  });
  const frame = await until('the frame is there', async () => page.frames()[1]);
  await frame.getByText('framed').waitFor();
  await frame.addScriptTag({ content: script });
  assert.equal(await frame.evaluate(() => navigator.locks.request('x', () => {}).catch(({ name }) => name)), 'SecurityError');
  await frame.evaluate(() => {
    window.asked = 0;
    const fetch = () => new Promise(() => { window.asked += 1; });
    window.bundle.follow('d', { shareTabs: true, transport: 'fetch', fetch });
  });
  await until('it connects', () => frame.evaluate(() => window.asked === 1));
});

test('a React page under StrictMode opens one connection, whichever way it is mounted', async (t) => {
  const server = await startServer({ args: ARGS });
  t.after(() => server.end());
  const { page, requests } = await openPage(server.base);
  await page.evaluate(() => window.bundle.mount('strict'));
  await page.locator('p[data-status=open]').nth(1).waitFor({ state: 'attached' });
  await server.followers('debates', 1);
  await server.say('debate', 'strict', { type: 'token', data: { speaker: 'Pro', token: 'Hello' } });
  await page.getByText('Hello').nth(1).waitFor();
  assert.equal(requests.length, 1);
  await page.context().close();
});

test('204 is the end', async (t) => {
  const server = await startServer({ args: ARGS });
  t.after(() => server.end());
  const [, last] = await server.publish('debate', 'over', utterance(1), complete);
  const { page } = await openPage(server.base);
  await follow(page, 'over', { from: { lastEventId: last } });
  await statusIs(page, 'complete');
  await page.context().close();
});

test('through nginx as the documentation sets it up, a restart behind it is survived', async (t) => {
  let server = await startServer({ args: ARGS });
  t.after(() => server.end());
  const nginx = await startNginx(server.port);
  t.after(() => nginx.end());
  const { page } = await openPage(nginx.base);
  await follow(page, 'd');
  await statusIs(page, 'open');
  for (const number of numbers(1, 3)) {
    await server.publish('debate', 'd', utterance(number));
    await hasHeard(page, number); // nothing follows that could push it through a buffer
  }
  await server.end('SIGKILL');
  await until('it has tried in vain', async () => (await seen(page)).attempt >= 2);
  assert.equal((await seen(page)).status, 'reconnecting');
  server = await startServer({ args: ARGS, port: server.port, database: server.database });
  await server.publish('debate', 'd', utterance(4), complete);
  await statusIs(page, 'complete');
  assert.deepEqual((await seen(page)).ids, numbers(1, 4));
  await page.context().close();
});

test('a 502 of a proxy that knows no better ends the EventSource, and not the client', async (t) => {
  let server = await startServer({ args: ARGS });
  t.after(() => server.end());
  const { page, requests } = await openPage(server.base);
  await follow(page, 'd', { retry: { minMs: 100, maxMs: 500 } });
  await statusIs(page, 'open');
  await server.publish('debate', 'd', utterance(1));
  await hasHeard(page, 1);
  const { lastEventId } = await seen(page);
  await server.end('SIGKILL');

  const proxy = http.createServer((_, response) => { response.writeHead(502).end(); }).listen(server.port, '127.0.0.1');
  await once(proxy, 'listening');
  await until('it knows why', async () => (await seen(page)).error?.status === 502);
  await until('it keeps trying', async () => (await seen(page)).attempt >= 3);
  proxy.closeAllConnections();
  proxy.close();
  await once(proxy, 'close');

  server = await startServer({ args: ARGS, port: server.port, database: server.database });
  await server.publish('debate', 'd', utterance(2));
  await hasHeard(page, 2);
  await statusIs(page, 'open');
  assert.equal(new URL(requests.at(-1).url()).searchParams.get('lastEventId'), lastEventId);
  await page.context().close();
});

test('a server that goes silent is noticed where heartbeats are heard', async (t) => {
  const server = await startServer({ args: ['--retry', '300ms', '--heartbeat', '200ms'] });
  t.after(() => server.end());
  const { page, requests } = await openPage(server.base);
  await follow(page, 'd', { transport: 'fetch', staleAfterMs: 2_000 });
  await statusIs(page, 'open');
  await quietFor(4_000); // twice as long as silence may last
  assert.equal(requests.length, 1, 'heartbeats are no silence');
  server.child.kill('SIGSTOP');
  try {
    await statusIs(page, 'reconnecting');
  } finally {
    server.child.kill('SIGCONT');
  }
  await statusIs(page, 'open');
  await page.context().close();
});

test('100,000 tokens, as fast as they can be published: the text is whole, and the page goes on drawing', async (t) => {
  const server = await startServer({ args: ARGS });
  t.after(() => server.end());
  const { page } = await openPage(server.base);
  await page.evaluate(() => window.bundle.mount('fast'));
  await page.locator('p[data-status=open]').nth(1).waitFor({ state: 'attached' });
  const before = await page.evaluate(() => { window.bundle.watchFrames(); return window.renders; });
  const batch = Array.from({ length: 100 }, () => ({ type: 'token', data: { speaker: 'Pro', token: 'ab' } }));
  const started = performance.now();
  for (let sent = 0; sent < 1_000; sent += 1) {
    if (sent && sent % 100 === 0) await server.publish('debate', 'fast', { type: 'utterance', data: { ...utterance(sent).data, speaker: 'Pro' } });
    await server.say('debate', 'fast', ...batch);
    const early = (sent + 1) * 10 - (performance.now() - started);
    if (early > 5) await quietFor(early);
  }
  const took = performance.now() - started;
  await until('all of it is there', () => page.evaluate(() => document.querySelector('p').textContent.length === 20_000));
  const { gaps, renders } = await page.evaluate(() => ({ gaps: window.stopFrames(), renders: window.renders }));
  const dropped = gaps.filter((gap) => gap > 25).length;
  const drawn = gaps.reduce((sum, gap) => sum + gap, 0);
  t.diagnostic(`${Math.round(1e8 / took)} tokens/s; ${gaps.length} frames in ${Math.round(drawn)} ms, ${dropped} (${(100 * dropped / gaps.length).toFixed(1)} %) later than 25 ms, the longest ${Math.round(Math.max(...gaps))} ms`);
  // Two components, and each twice under StrictMode.
  assert.ok((renders - before) / 4 <= gaps.length + drawn / 100, `${(renders - before) / 4} renders in ${gaps.length} frames`);
  assert.ok(gaps.length > 50, 'the page did not stand still');
  await page.context().close();
});

test('10,000 tokens a second for 10 s: no more than one render for each frame', async (t) => {
  const server = await startServer({ args: ARGS });
  t.after(() => server.end());
  const { page } = await openPage(server.base);
  await page.evaluate(() => window.bundle.mount('fed', true));
  await until('it listens', () => page.evaluate(() => window.fed !== undefined));
  const before = await page.evaluate(() => {
    window.fed.emit('connected', { clientId: 'c' });
    window.bundle.watchFrames();
    return window.renders;
  });
  const { gaps, renders } = await page.evaluate(async () => {
    await window.bundle.feed(10, 10_000);
    return { gaps: window.stopFrames(), renders: window.renders };
  });
  const dropped = gaps.filter((gap) => gap > 25).length;
  t.diagnostic(`${gaps.length} frames, ${dropped} (${(100 * dropped / gaps.length).toFixed(1)} %) later than 25 ms, the longest ${Math.round(Math.max(...gaps))} ms`);
  const drawn = gaps.reduce((sum, gap) => sum + gap, 0);
  assert.ok((renders - before) / 4 <= gaps.length + drawn / 100 + 1, `${(renders - before) / 4} renders in ${gaps.length} frames`);
  assert.ok(gaps.length > 50, 'the page did not stand still');
  await page.context().close();
});

test('after 204 nothing is asked for in a whole minute', async () => {
  await minute.passes();
  for (const { transport, requests, asked } of minute.over) assert.deepEqual([transport, requests.length], [transport, asked]);
});

test('nginx’s defaults cut a stream that is silent for a minute, and it goes on; with heartbeats it is not cut', async () => {
  const [beating, silent] = minute.quiet;
  await minute.passes();
  await until('the silent one was cut, and has come back', () => silent.requests.length >= 2);
  await minute.silent.publish('debate', 'quiet', utterance(1));
  await hasHeard(silent.page, 1);
  assert.equal(beating.requests.length, 1);
  await statusIs(beating.page, 'open');
});
