/** Behind nginx, set up word for word as docs/reverse-proxy.md says, and as little as that. */

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';

import { followInPage, launchBrowser, readyState, seenInPage } from './support/browser.mjs';
import { DEBATE_TYPES, complete, numbers, spoken, utterance } from './support/events.mjs';
import { startNginx } from './support/nginx.mjs';
import { startServer } from './support/server.mjs';
import { until } from './support/until.mjs';

let browser;
before(async () => { browser = await launchBrowser(); });
after(() => browser?.close());

async function openBehind(nginx, debate) {
  const page = await (await browser.newContext({ bypassCSP: true })).newPage();
  await page.goto(`${nginx.base}/health/live`);
  await followInPage(page, `/api/debates/${debate}/stream`, DEBATE_TYPES);
  return page;
}

/** Each event passes at once, and so does the end of the page. */
async function passesAtOnce(server, nginx) {
  const page = await openBehind(nginx, 'd');
  await server.followers('debates', 1);
  for (const number of numbers(1, 5)) {
    await server.publish('debate', 'd', utterance(number));
    // Nothing follows that could push it through a buffer.
    await until('it has passed', async () => spoken(await seenInPage(page)).length === number, 5_000);
  }
  await page.close();
  await server.followers('debates', 0, 5_000);
}

test('events pass at once, a closed tab is noticed at once, and a large publish passes', async (t) => {
  const server = await startServer({ args: ['--heartbeat', '1h'] });
  t.after(() => server.end());
  const nginx = await startNginx(server.port);
  t.after(() => nginx.end());
  await passesAtOnce(server, nginx);

  const batch = numbers(1, 100).map((number) => utterance(number, 'x'.repeat(10_000)));
  const response = await fetch(`${nginx.base}/api/debates/large/events`, {
    method: 'POST', headers: { 'Content-Type': 'application/json' }, body: JSON.stringify(batch),
  });
  assert.equal(response.status, 201, await response.text());
});

test('while the server is away nginx keeps the browsers coming back, and they miss nothing', async (t) => {
  let server = await startServer({ args: ['--retry', '300ms'] });
  t.after(() => server.end());
  const nginx = await startNginx(server.port);
  t.after(() => nginx.end());
  const page = await openBehind(nginx, 'd');
  await server.followers('debates', 1);
  await server.publish('debate', 'd', ...numbers(1, 5).map((number) => utterance(number)));
  await until('five are seen', async () => spoken(await seenInPage(page)).length === 5);

  await server.end('SIGKILL');
  // An error status would have ended the EventSource at its first attempt.
  await until('it has tried in vain', () => page.evaluate(() => window.followed.losses.length >= 2));
  assert.notEqual(await readyState(page), 2);
  assert.equal((await fetch(`${nginx.base}/api/stats`)).status, 502, 'elsewhere an error stays one');

  server = await startServer({ args: ['--retry', '300ms'], port: server.port, database: server.database });
  await server.publish('debate', 'd', ...numbers(6, 10).map((number) => utterance(number)), complete);
  await until('it has heard the end and gone', async () => await readyState(page) === 2);
  assert.deepEqual(spoken(await seenInPage(page)), numbers(1, 10));
  await page.context().close();
});

test('the page works behind it, and so do its controls', async (t) => {
  const server = await startServer();
  t.after(() => server.end());
  const nginx = await startNginx(server.port);
  t.after(() => nginx.end());
  const page = await (await browser.newContext()).newPage();
  await page.goto(`${nginx.base}/?debate=d`);
  await page.getByRole('button', { name: 'Play the sample here' }).click();
  await until('the debate is live', async () => await page.locator('#status').textContent() === 'Live');
  await until('words come', () => page.locator('.speech.open .words').textContent({ timeout: 1_000 }));
  await page.context().close();
});

test('nginx’s defaults: events pass at once, a closed tab is noticed at once, the page and its controls work', async (t) => {
  const server = await startServer({ args: ['--heartbeat', '1h'] });
  t.after(() => server.end());
  const nginx = await startNginx(server.port, 'defaults');
  t.after(() => nginx.end());
  // The configuration has buffers. The server asks for none.
  await passesAtOnce(server, nginx);

  const viewer = await (await browser.newContext()).newPage();
  await viewer.goto(`${nginx.base}/?debate=e`);
  await viewer.getByRole('button', { name: 'Play the sample here' }).click();
  await until('words come', () => viewer.locator('.speech.open .words').textContent({ timeout: 1_000 }));
  await viewer.context().close();
});

test('nginx’s defaults break two things: a restart ends each EventSource, and the longest publishes are refused', async (t) => {
  let server = await startServer({ args: ['--retry', '300ms'] });
  t.after(() => server.end());
  const nginx = await startNginx(server.port, 'defaults');
  t.after(() => nginx.end());
  const batch = JSON.stringify(numbers(1, 100).map((number) => utterance(number, 'x'.repeat(10_370))));
  const publish = (base) => fetch(`${base}/api/debates/large/events`, { method: 'POST', headers: { 'Content-Type': 'application/json' }, body: batch });
  assert.ok(batch.length > 1024 * 1024, `${batch.length}`);
  const refused = await publish(nginx.base);
  assert.deepEqual([refused.status, refused.headers.get('content-type')], [413, 'text/html']);
  assert.equal((await publish(server.base)).status, 201, 'the server itself takes it');

  const page = await openBehind(nginx, 'd');
  await until('it follows', async () => await readyState(page) === 1);
  await server.end('SIGKILL');
  await until('it has given up', async () => await readyState(page) === 2);
  assert.deepEqual(await page.evaluate(() => window.followed.losses), [0, 2], 'it came back, and was answered 502');
  server = await startServer({ args: ['--retry', '300ms'], port: server.port, database: server.database });
  await server.publish('debate', 'd', utterance(1));
  assert.equal(await readyState(page), 2, 'for good');
  await page.context().close();
});
