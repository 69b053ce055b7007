/** The three cases of docs/security.md, and pages that do not belong, in Chromium. */

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { after, before, test } from 'node:test';

import { followInPage, inConsole, launchBrowser, readyState, seenInPage } from './support/browser.mjs';
import { blocks, read } from './support/documents.mjs';
import { DEBATE_TYPES, spoken, utterance } from './support/events.mjs';
import { startElsewhere } from './support/elsewhere.mjs';
import { BINARY, startServer, temporaryFolder } from './support/server.mjs';
import { until } from './support/until.mjs';

const TYPES = [...DEBATE_TYPES, 'auth_expired'];
const folder = temporaryFolder();
const secret = path.join(folder, 'secret');
writeFileSync(secret, 'a secret that is long enough to be one');

let browser;
let frontend;

before(async () => { [browser, frontend] = await Promise.all([launchBrowser(), startElsewhere()]); });
after(async () => {
  await browser?.close();
  frontend?.close();
});

/** Made as the document says, by the command. */
function token(...grants) {
  const made = spawnSync(BINARY, ['token', 'create', '--jwt-secret-file', secret, '--subject', 'a test', ...grants], { encoding: 'utf8' });
  assert.equal(made.status, 0, made.stderr);
  return made.stdout.trim();
}

async function guarded(t, ...args) {
  const server = await startServer({ args: ['--jwt-secret-file', secret, '--retry', '100ms', '--cors-origin', frontend.origin, '--log-filter', 'trace', ...args] });
  const publisher = token('--publish', '*', '--stats');
  server.shown = [publisher];
  server.post = (id, event) => fetch(server.url('debate', id, 'events'), {
    method: 'POST', headers: { Authorization: `Bearer ${publisher}`, 'Content-Type': 'application/json' }, body: JSON.stringify(event),
  }).then(async (response) => assert.equal(response.status, 201, await response.text()));
  server.make = (...grants) => { const made = token(...grants); server.shown.push(made); return made; };
  t.after(async () => {
    await server.end();
    const log = server.readLog();
    for (const shown of server.shown) assert.ok(!log.includes(shown.split('.').at(-1)), 'a token in the log');
    assert.ok(!/ticket=/.test(log), 'a ticket in the log');
  });
  return server;
}

async function openAt(address, cookies = []) {
  const context = await browser.newContext();
  await context.addCookies(cookies);
  const page = await context.newPage();
  await page.goto(address);
  return page;
}

const cookie = (server, value) => ({ name: 'clearside_token', value, domain: '127.0.0.1', path: '/api/', httpOnly: true, sameSite: 'Lax' });

test('a page of the same origin follows with a cookie, publishes with it, and is told when it ends', async (t) => {
  const server = await guarded(t);
  await server.post('d1', utterance(1));
  const ends = server.make('--subscribe', 'debates/d1', '--publish', 'debates/d1', '--ttl', '4s');
  const page = await openAt(server.base, [cookie(server, ends)]);
  await followInPage(page, '/api/debates/d1/stream?lastEventId=earliest', TYPES);
  await until('it hears', async () => spoken(await seenInPage(page)).length === 1);
  const status = await page.evaluate((event) => fetch('/api/debates/d1/events', {
    method: 'POST', headers: { 'Content-Type': 'application/json' }, body: JSON.stringify(event),
  }).then((response) => response.status), utterance(2));
  assert.equal(status, 201);
  await until('it is told', async () => (await seenInPage(page)).some(({ type }) => type === 'auth_expired'));
  await until('it has given up: the old cookie is answered 401', async () => await readyState(page) === 2);
  assert.deepEqual(spoken(await seenInPage(page)), [1, 2]);

  // A cookie that is renewed in time goes on where it was.
  const first = server.make('--subscribe', 'debates/d1', '--ttl', '3s');
  await page.context().clearCookies();
  await page.context().addCookies([cookie(server, first)]);
  await followInPage(page, '/api/debates/d1/stream', TYPES);
  await until('it is live', async () => (await seenInPage(page)).some(({ type }) => type === 'snapshot'));
  await page.context().addCookies([cookie(server, server.make('--subscribe', 'debates/d1'))]);
  await until('it is told', async () => (await seenInPage(page)).some(({ type }) => type === 'auth_expired'));
  await server.post('d1', utterance(3));
  await until('it has come back', async () => spoken(await seenInPage(page)).includes(3));
  assert.notEqual(await readyState(page), 2);
  await page.context().close();
});

test('a page of another origin follows with fetch and a token, as the document says', async (t) => {
  const server = await guarded(t);
  await server.post('d1', utterance(1, 'heard elsewhere'));
  const page = await openAt(frontend.origin);
  const [code] = blocks(read('docs/security.md'), 'js').filter((block) => block.includes('TextDecoderStream'));
  const reader = server.make('--subscribe', 'debates/*');
  await inConsole(page, `let token = '${reader}', lastEventId = 'earliest', buffer = '';`);
  // It follows for as long as the page lives, so it is not waited for.
  await inConsole(page, `void (async () => {\n${code.replaceAll('https://live.example.org', server.base)}\n})();`);
  const heard = () => page.evaluate('buffer');
  await until('it hears', async () => (await heard()).includes('event: snapshot'));
  await server.post('d1', utterance(2, 'and live'));
  await until('it hears what is new', async () => (await heard()).includes('and live'));

  const refusal = await page.evaluate(([url]) => fetch(url).then(async (response) => [response.status, (await response.json()).error.code]), [server.url('debate', 'd1', 'events')]);
  assert.deepEqual(refusal, [401, 'unauthorized'], 'it may read why it is refused');
  await page.context().close();
});

test('an EventSource follows with a ticket, and gets another when it is over, as the document says', async (t) => {
  const server = await guarded(t, '--ticket-ttl', '3s');
  await server.post('d1', utterance(1, 'the first'));
  const page = await openAt(frontend.origin);
  const [code] = blocks(read('docs/security.md'), 'js').filter((block) => block.includes('/ticket'));
  const reader = server.make('--subscribe', 'debates/d1');
  await inConsole(page, `const token = '${reader}', heard = [], asked = [];
    console.log = (text) => heard.push(text);
    const plain = fetch;
    fetch = (...request) => { asked.push(request[0]); return plain(...request); };
    ${code.replaceAll('https://live.example.org', server.base)}
    follow();`);
  const inPage = (name) => page.evaluate(name);
  await until('it hears', async () => (await inPage('heard')).length === 1);
  await until('it has got another ticket', async () => (await inPage('asked.length')) > 1);
  await server.post('d1', utterance(2, 'the second'));
  await until('it hears again', async () => (await inPage('heard')).length === 2);
  assert.deepEqual(await inPage('heard'), ['the first', 'the second'], 'each once');
  await page.context().close();
});

test('what follows with a ticket stops when the stream is over, and when the token is', async (t) => {
  const server = await guarded(t);
  await server.post('d1', utterance(1, 'all there is'));
  await server.post('d1', { type: 'complete', data: {} });
  const [code] = blocks(read('docs/security.md'), 'js').filter((block) => block.includes('/ticket'));
  for (const [reader, heard] of [[server.make('--subscribe', 'debates/d1'), ['all there is']], ['expired', []]]) {
    const page = await openAt(frontend.origin);
    // What it would do in a while it does at once: a loop shows.
    await inConsole(page, `const token = '${reader}', heard = [], asked = [], sources = [];
      console.log = (text) => heard.push(text);
      const plain = fetch, Plain = EventSource, later = setTimeout;
      setTimeout = (task) => later(task, 0);
      fetch = (...request) => { const answer = plain(...request); asked.push(answer); return answer; };
      EventSource = class extends Plain { constructor(...all) { super(...all); sources.push(this); } };
      ${code.replaceAll('https://live.example.org', server.base)}
      const done = follow();`);
    await page.evaluate('done');
    await until('it has closed what it opened', () => page.evaluate('sources.every((source) => source.readyState === 2)'));
    // Ten requests on the same connections come after whatever it had begun.
    for (let n = 0; n < 10; n += 1) await page.evaluate((url) => fetch(url).then((answer) => answer.text()), `${server.base}/health/live`);
    const asked = await page.evaluate('asked.length - 10');
    assert.deepEqual([asked, await page.evaluate('heard')], [1, heard]);
    await page.context().close();
  }
});

test('a page of a foreign site gets nothing and changes nothing, with or without somebody’s cookie', async (t) => {
  const server = await guarded(t);
  await server.post('d1', utterance(1));
  const everything = server.make('--subscribe', '*', '--publish', '*', '--control', '*', '--stats');
  const page = await openAt(frontend.foreign, [cookie(server, everything)]);
  await followInPage(page, server.url('debate', 'd1'), TYPES, { withCredentials: true });
  await until('it has given up', async () => await readyState(page) === 2);
  assert.deepEqual(await seenInPage(page), []);
  for (const rest of ['', 'events', 'stream']) {
    const read = await page.evaluate((url) => fetch(url, { credentials: 'include' }).then(() => 'read', () => 'refused'), server.url('debate', 'd1', rest));
    assert.equal(read, 'refused', rest);
  }
  // What a browser sends without asking: no preflight, whatever cookies there are.
  await page.evaluate((url) => fetch(url, { method: 'POST', mode: 'no-cors', credentials: 'include' }), server.url('debate', 'd1', 'stop'));
  await page.evaluate((url) => fetch(url, { method: 'POST', mode: 'no-cors', credentials: 'include', body: '{"type":"note"}' }), server.url('debate', 'd1', 'events'));
  await page.setContent(`<form method="post" action="${server.url('debate', 'd1', 'stop')}" enctype="text/plain"><input name='{"type":"note","a":"' value='"}'></form>`);
  await Promise.all([page.waitForNavigation(), page.evaluate(() => document.forms[0].submit())]);
  const history = await fetch(server.url('debate', 'd1', 'events'), { headers: { Authorization: `Bearer ${everything}` } });
  assert.equal((await history.json()).events.length, 1, 'nothing was added, and nothing was stopped');
  await page.context().close();
});

test('a name that is made to lead here opens nothing on a server without keys', async (t) => {
  const server = await startServer();
  t.after(() => server.end());
  await server.publish('debate', 'd1', utterance(1));
  const rebound = await launchBrowser('--host-resolver-rules=MAP rebound.test 127.0.0.1');
  t.after(() => rebound.close());
  const page = await rebound.newPage({ bypassCSP: true }); // the refusal has a policy of its own
  const answer = await page.goto(`http://rebound.test:${server.port}/`);
  assert.equal(answer.status(), 403);
  // To the browser this is the page's own origin: no preflight, `Sec-Fetch-Site: same-origin`.
  const statuses = await page.evaluate(async () => Promise.all([
    fetch('/api/debates/d1/events'),
    fetch('/api/debates/d1/events', { method: 'POST', headers: { 'Content-Type': 'application/json' }, body: '{"type":"note"}' }),
    fetch('/api/debates/d1/stop', { method: 'POST' }),
  ]).then((answers) => answers.map(({ status }) => status)));
  assert.deepEqual(statuses, [403, 403, 403]);
  assert.equal((await server.history('debate', 'd1')).length, 1);
});
