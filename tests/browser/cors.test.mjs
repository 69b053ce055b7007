/** Pages of another origin: INFRA-003, "Ensure CORS headers allow EventSource connections from frontend domain". */

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';

import { followInPage, launchBrowser, readyState, seenInPage } from './support/browser.mjs';
import { DEBATE_TYPES, spoken, utterance } from './support/events.mjs';
import { startElsewhere } from './support/elsewhere.mjs';
import { startServer } from './support/server.mjs';
import { until } from './support/until.mjs';

let browser;
let frontend;

before(async () => { [browser, frontend] = await Promise.all([launchBrowser(), startElsewhere()]); });
after(async () => {
  await browser?.close();
  frontend?.close();
});

async function openElsewhere() {
  const page = await (await browser.newContext()).newPage();
  await page.goto(frontend.origin);
  return page;
}

for (const withCredentials of [false, true]) {
  test(`with --cors-origin a page of that origin follows${withCredentials ? ', with credentials too' : ''}`, async (t) => {
    const server = await startServer({ args: ['--retry', '200ms', '--cors-origin', 'https://example.org', '--cors-origin', frontend.origin] });
    t.after(() => server.end());
    const page = await openElsewhere();
    await followInPage(page, server.url('debate', 'd'), DEBATE_TYPES, { withCredentials });
    await server.followers('debates', 1);
    await server.publish('debate', 'd', utterance(1));
    await until('it hears', async () => spoken(await seenInPage(page)).length === 1);

    // It resumes, too: `Last-Event-ID` on a request of another origin.
    const port = server.port;
    await server.end('SIGKILL');
    const next = await startServer({ args: ['--cors-origin', frontend.origin], port, database: server.database });
    t.after(() => next.end());
    await next.publish('debate', 'd', utterance(2));
    await until('it hears again', async () => spoken(await seenInPage(page)).length === 2);
    assert.deepEqual(spoken(await seenInPage(page)), [1, 2]);
    await page.context().close();
  });
}

test('with --cors-origin a page of that origin launches and publishes', async (t) => {
  const server = await startServer({ args: ['--cors-origin', frontend.origin] });
  t.after(() => server.end());
  const page = await openElsewhere();
  const post = (url, body) => page.evaluate(async ([url, body]) => {
    const response = await fetch(url, { method: 'POST', headers: body && { 'Content-Type': 'application/json' }, body });
    return response.status;
  }, [url, body]);
  assert.equal(await post(server.url('debate', 'd', 'events'), JSON.stringify(utterance(1))), 201);
  assert.equal(await post(server.url('conversation', 'c', 'launch')), 202);
  await page.context().close();
});

test('without it, and for any other origin, the browser refuses', async (t) => {
  const servers = await Promise.all([
    startServer(),
    // Near misses: another port, and the same host by another name.
    startServer({ args: ['--cors-origin', frontend.origin.replace(/\d+$/, '1'), '--cors-origin', frontend.origin.replace('127.0.0.1', 'localhost')] }),
  ]);
  t.after(() => Promise.all(servers.map((server) => server.end())));
  for (const server of servers) {
    const page = await openElsewhere();
    await followInPage(page, server.url('debate', 'd'), DEBATE_TYPES);
    await until('the EventSource has given up', async () => await readyState(page) === 2);
    await server.publish('debate', 'd', utterance(1));
    assert.deepEqual(await seenInPage(page), []);
    const refused = await page.evaluate((url) => fetch(url).then(() => 'read', () => 'refused'), server.url('debate', 'd', 'events'));
    assert.equal(refused, 'refused');
    // A browser sends a plain POST all the same, and only hides the answer: the server must refuse by itself.
    await page.evaluate((url) => fetch(url, { method: 'POST', mode: 'no-cors' }), server.url('debate', 'launched', 'launch'));
    assert.equal((await fetch(server.url('debate', 'launched', ''))).status, 404, 'nothing was launched');
    await page.context().close();
  }
});
