/** The page on a server that has keys: it asks for a token when it must, and only then. */

import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { after, before, test } from 'node:test';

import { launchBrowser } from './support/browser.mjs';
import { utterance } from './support/events.mjs';
import { all, openPage, statusBecomes, words } from './support/page.mjs';
import { makeToken, startServer, temporaryFolder } from './support/server.mjs';
import { quietFor, until } from './support/until.mjs';

const secret = path.join(temporaryFolder(), 'secret');
writeFileSync(secret, 'a secret that is long enough to be one');

let browser;
let server;
before(async () => {
  [browser, server] = await Promise.all([launchBrowser(), startServer({ args: ['--jwt-secret-file', secret, '--retry', '100ms'] })]);
  await publish('d', utterance(1));
});
after(async () => {
  await browser?.close();
  await server?.end();
});

const make = (...grants) => makeToken(secret, ...grants);

async function publish(id, event, kind = 'debate') {
  const response = await fetch(server.url(kind, id, 'events'), {
    method: 'POST', headers: { Authorization: `Bearer ${make('--publish', '*')}`, 'Content-Type': 'application/json' }, body: JSON.stringify(event),
  });
  assert.equal(response.status, 201, await response.text());
}

/** Every 401 is told in the console, too. */
const open = (t, address, options) => openPage(t, browser, server.base + address, { tolerated: /40[13]/, ...options });
const asked = (page) => page.getByRole('heading', { name: 'This server asks for a token' });
async function give(page, token) {
  await page.getByLabel('Token').fill(token);
  await page.getByRole('button', { name: 'Sign in' }).click();
}

test('a stream: the page asks, follows with the token, steers with it, and keeps it for this tab only', async (t) => {
  const page = await open(t, '/?debate=d');
  await asked(page).waitFor();
  assert.equal(await page.evaluate(() => document.activeElement.id), 'token', 'one can paste at once');
  const sent = [];
  page.on('request', (request) => { if (request.url().includes('/api/')) sent.push(request); });
  const token = make('--subscribe', 'debates/*', '--control', 'debates/*');
  await give(page, token);
  await statusBecomes(page, 'Live');
  assert.deepEqual(await all(page, '#transcript .speech .words'), ['speech 1']);
  await publish('d', utterance(2));
  await until('what is said now is there', async () => (await all(page, '#transcript .speech .words')).at(-1) === 'speech 2');
  assert.equal(await page.getByRole('button', { name: 'Pause' }).count(), 1);
  for (const request of sent) assert.equal((await request.allHeaders()).authorization, `Bearer ${token}`, request.url());
  assert.ok(sent.every((request) => !request.url().includes(token)), 'in no address');
  assert.deepEqual(await page.evaluate(() => [Object.keys(localStorage).filter((key) => /token/.test(key)), document.cookie, Object.keys(sessionStorage)]), [[], '', ['clearside:token']]);

  await page.reload();
  await statusBecomes(page, 'Live');
  const other = await page.context().newPage();
  await other.goto(`${server.base}/?debate=d`);
  await asked(other).waitFor();

  await page.locator('.bar .brand').click();
  await page.locator('.card').waitFor();
  assert.match(await words(page, '.signed'), /^Ada Lovelace/);
  await page.getByRole('button', { name: 'Sign out' }).click();
  await asked(page).waitFor();
  assert.equal(await page.evaluate(() => sessionStorage.length), 0);
});

test('a token that is none, is cut off or is foreign: the page says why, and lets one try again', async (t) => {
  const page = await open(t, '/');
  await asked(page).waitFor();
  const good = make('--subscribe', '*');
  for (const [token, why] of [['abc', /malformed/], [`${good.slice(0, -3)}AAA`, /not signed by a key of this server/], ['“quoted”', /copied whole/]]) {
    await give(page, token);
    await until(`it says ${why}`, async () => why.test(await words(page, '#objection')));
    assert.equal(await page.evaluate(() => sessionStorage.length), 0, 'it is not kept');
  }
  await give(page, ` Bearer ${good}\n`);
  await page.locator('.card').waitFor();
});

test('a token that ends while one watches: the page asks for another, and goes on with it', async (t) => {
  const page = await open(t, '/?debate=d');
  await asked(page).waitFor();
  await give(page, make('--subscribe', '*', '--ttl', '3s'));
  await statusBecomes(page, 'Live');
  await asked(page).waitFor();
  await until('it says why', async () => /has expired/.test(await words(page, '#objection')));
  await give(page, make('--subscribe', '*'));
  await statusBecomes(page, 'Live');
});

test('what a token does not grant is told, and asks for no other token', async (t) => {
  const page = await open(t, '/#/operator');
  await asked(page).waitFor();
  await give(page, make('--subscribe', '*'));
  await page.getByText('These figures are not open to you.').waitFor();
  assert.equal(await asked(page).count(), 0);
  await page.getByRole('button', { name: 'Sign out' }).click();
  await asked(page).waitFor();
  await give(page, make('--subscribe', '*', '--stats'));
  await page.locator('.figure').first().waitFor();
});

/** How often a list was asked for, by kind. */
function countLists(page) {
  const asked = { debates: 0, sessions: 0 };
  page.on('request', (request) => {
    const [, kind] = /\/(debates|sessions)\?/.exec(request.url()) ?? [];
    if (kind) asked[kind] += 1;
  });
  return asked;
}

test('a token for conversations alone: the page shows all of them, and does not ask for debates again', async (t) => {
  const begun = { type: 'conversation_started', data: { title: 'Tides' } };
  for (let number = 0; number < 25; number += 1) await publish(`c${number}`, begun, 'conversation');
  const page = await open(t, '/');
  await asked(page).waitFor();
  const lists = countLists(page);
  await give(page, make('--subscribe', 'conversations/*'));
  await until('the newest are there', async () => (await all(page, '.card')).length === 20);
  const before = lists.debates; // one to try the token, one to list
  await page.getByRole('button', { name: 'Show earlier ones' }).click();
  await until('all are there', async () => (await all(page, '.card')).length === 25);
  const seen = lists.sessions;
  await until('it looks for news', () => lists.sessions >= seen + 2);
  assert.equal(lists.debates, before);
  assert.deepEqual([await page.locator('.notice').count(), await page.getByRole('button', { name: 'Show earlier ones' }).count()], [0, 0]);
});

test('a token for figures alone: they are shown, and no list is asked for again', async (t) => {
  const page = await open(t, '/#/operator');
  await asked(page).waitFor();
  const lists = countLists(page);
  let figures = 0;
  page.on('request', (request) => { figures += request.url().endsWith('/api/stats') ? 1 : 0; });
  await give(page, make('--stats'));
  await page.locator('.figure').first().waitFor();
  await page.getByText('Your token opens no list of streams.').waitFor();
  const before = { ...lists };
  const seen = figures;
  await until('it looks for news', () => figures >= seen + 2);
  assert.deepEqual(lists, before);

  await page.locator('.brand').click();
  await page.getByText('The token does not grant this.').waitFor();
  assert.doesNotMatch(await words(page, '#main'), /Looking again|Nothing is on yet/);
});

test('figures that a token does not open are not asked for again', async (t) => {
  const page = await open(t, '/#/operator');
  await asked(page).waitFor();
  const sent = [];
  page.on('request', (request) => sent.push(new URL(request.url()).pathname));
  await give(page, make('--subscribe', '*'));
  await page.getByText('These figures are not open to you.').waitFor();
  await quietFor(5_000);
  assert.equal(sent.filter((path) => path === '/api/stats').length, 1);
});

test('who may not steer with one token is offered it with the next', async (t) => {
  const page = await open(t, '/?debate=d');
  await asked(page).waitFor();
  await give(page, make('--subscribe', '*'));
  await page.getByRole('button', { name: 'Pause' }).click();
  await page.locator('.controls .refused').waitFor();
  assert.equal(await page.getByRole('button', { name: 'Pause' }).count(), 0);
  await page.locator('.bar .brand').click();
  await page.getByRole('button', { name: 'Sign out' }).click();
  await asked(page).waitFor();
  await give(page, make('--subscribe', '*', '--control', '*'));
  await page.locator('.card[data-kind="debate"]').click();
  await statusBecomes(page, 'Live');
  await page.getByRole('button', { name: 'Pause' }).waitFor();
});

test('a cookie that the application has set is enough: nobody is asked, and a bad token can be let go of', async (t) => {
  const page = await open(t, '/health/live');
  await page.context().addCookies([{ name: 'clearside_token', value: make('--subscribe', '*'), url: `${server.base}/api/`, httpOnly: true, sameSite: 'Lax' }]);
  const sent = [];
  page.on('request', (request) => { if (request.url().includes('/api/')) sent.push(request); });
  await page.goto(`${server.base}/?debate=d`);
  await statusBecomes(page, 'Live');
  assert.ok(sent.every((request) => request.headers().authorization === undefined));
  assert.ok(sent.some((request) => request.resourceType() === 'eventsource'), 'the browser’s own EventSource');

  await page.evaluate((token) => sessionStorage.setItem('clearside:token', token), 'abc');
  await page.reload();
  await asked(page).waitFor();
  await page.getByRole('button', { name: 'Go on without one' }).click();
  await statusBecomes(page, 'Live');
});
