/** What happens to a browser, and to fifty followers, when the server goes down and comes back. */

import assert from 'node:assert/strict';
import path from 'node:path';
import { after, before, test } from 'node:test';

import { EventSource } from 'eventsource';

import { followInPage, launchBrowser, readyState, seenInPage } from './support/browser.mjs';
import { DEBATE_TYPES, complete, numbers, spoken, utterance } from './support/events.mjs';
import { startServer, temporaryFolder } from './support/server.mjs';
import { until } from './support/until.mjs';

const ARGS = ['--retry', '400ms', '--heartbeat', '1h'];
const FOLLOWERS = 50;

let browser;
before(async () => { browser = await launchBrowser(); });
after(() => browser?.close());

/** Follows with npm eventsource, and remembers every event and every id. */
function follow(url) {
  const source = new EventSource(url);
  const seen = [];
  for (const type of DEBATE_TYPES) {
    source.addEventListener(type, ({ data, lastEventId }) => { if (data !== undefined) seen.push({ type, data, id: lastEventId }); });
  }
  return { source, seen };
}

const ids = (events) => events.filter(({ type, id }) => id && type !== 'snapshot').map(({ id }) => id);

for (const signal of ['SIGKILL', 'SIGTERM', 'SIGINT']) {
  test(`${signal} in the middle of a debate, a new server on the same port: everyone has everything once, in order`, async (t) => {
    const database = path.join(temporaryFolder(), 'history.db');
    let server = await startServer({ args: ARGS, database });
    t.after(() => server.end());
    const debate = 'restarted';
    const page = await (await browser.newContext({ bypassCSP: true })).newPage();
    // Not the viewer: this page is to do nothing that an EventSource does not do by itself.
    await page.goto(`${server.base}/health/live`);
    await followInPage(page, `/api/debates/${debate}/stream?lastEventId=earliest`, DEBATE_TYPES);
    const followers = Array.from({ length: FOLLOWERS }, () => follow(`${server.url('debate', debate)}?lastEventId=earliest`));
    t.after(() => followers.forEach(({ source }) => source.close()));
    await server.followers('debates', FOLLOWERS + 1);

    const acknowledged = [];
    const publish = async (number) => acknowledged.push(...await server.publish('debate', debate, utterance(number)));
    for (const number of numbers(1, 20)) await publish(number);
    const asked = performance.now();
    const ended = await server.end(signal);
    const took = performance.now() - asked;
    if (signal === 'SIGKILL') assert.equal(ended.signal, 'SIGKILL');
    else {
      assert.deepEqual(ended, { code: 0, signal: null }, 'it exits by itself, and well');
      assert.ok(took < 5_000, `it took ${took} ms to exit, although a browser was following`);
      t.diagnostic(`exit after ${Math.round(took)} ms`);
    }
    await until('the browser has noticed', () => page.evaluate(() => window.followed.losses.length > 0));

    server = await startServer({ args: ARGS, database, port: server.port });
    for (const number of numbers(21, 40)) await publish(number);
    await server.followers('debates', FOLLOWERS + 1);
    for (const number of numbers(41, 60)) await publish(number);
    acknowledged.push(...await server.publish('debate', debate, complete));

    await until('all have heard the end and gone', async () =>
      await readyState(page) === 2 && followers.every(({ source }) => source.readyState === 2));
    for (const [who, seen] of [['Chromium', await seenInPage(page)], ...followers.map(({ seen }, index) => [`follower ${index}`, seen])]) {
      assert.deepEqual(spoken(seen), numbers(1, 60), who);
      assert.deepEqual(ids(seen.filter(({ type }) => type === 'utterance' || type === 'complete')), acknowledged, who);
      assert.equal(seen.filter(({ type }) => type === 'gap').length, 0, who);
    }
    assert.deepEqual((await server.history('debate', debate)).map(({ id }) => id), acknowledged);
    await page.context().close();
  });
}

test('a cursor that the new server does not know is answered with a gap, never with an error or silence', async (t) => {
  let server = await startServer({ args: ARGS });
  t.after(() => server.end());
  const page = await (await browser.newContext({ bypassCSP: true })).newPage();
  await page.goto(`${server.base}/health/live`);
  await followInPage(page, '/api/debates/forgotten/stream', DEBATE_TYPES);
  await server.followers('debates', 1);
  await server.publish('debate', 'forgotten', utterance(1), utterance(2));
  await until('both are seen', async () => spoken(await seenInPage(page)).length === 2);
  await server.end('SIGKILL');

  server = await startServer({ args: ARGS, port: server.port }); // with an empty database
  await server.publish('debate', 'forgotten', utterance(7));
  const gap = await until('the gap is told', async () => (await seenInPage(page)).find(({ type }) => type === 'gap'));
  assert.equal(JSON.parse(gap.data).reason, 'unknown');
  await until('what there is follows', async () => spoken(await seenInPage(page)).at(-1) === 7);
  await page.context().close();
});
