/**
 * Each state of the page, on the real server: it looks as it was kept, nobody is shut out by it, and
 * nothing is wider than the screen. Narrow and light, middling and dark, wide and light; the states that
 * people see most, in all six.
 */

import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { after, before, test } from 'node:test';

import { assertAccessible } from './support/axe.mjs';
import { launchBrowser } from './support/browser.mjs';
import { layCable } from './support/cable.mjs';
import { all, assertFits, DESKTOP, openPage, openWords, PHONE, statusBecomes, WIDE } from './support/page.mjs';
import { assertLooksAsKept } from './support/pictures.mjs';
import { makeToken, startServer, temporaryFolder } from './support/server.mjs';
import { until } from './support/until.mjs';

const SIZES = { 390: PHONE, 1280: DESKTOP, 1920: WIDE };
const ALL_VIEWS = Object.keys(SIZES).flatMap((width) => ['light', 'dark'].map((colours) => `${width}-${colours}`));
const VIEWS = ['390-light', '1280-dark', '1920-light'];

/** All that happens here happens at this time, twenty seconds apart. */
const BEGAN = Date.UTC(2026, 10, 22, 10, 0, 0);
const APART_MS = 20_000;

let browser;
let server;
let debate;
let conversation;

before(async () => {
  [browser, server] = await Promise.all([launchBrowser(), startServer({ args: ['--retry', '300ms'] })]);
  [debate, conversation] = await Promise.all([sample('debate'), sample('conversation')]);
});
after(async () => {
  await browser?.close();
  await server?.end();
});

/** The events of the sample, at times that are always the same. */
async function sample(kind) {
  const id = `sample-${kind}`;
  await server.steer(kind, id, 'launch', { speed: 1_000 });
  const last = kind === 'debate' ? 'complete' : 'conversation_completed';
  const history = await until('the sample is over', async () => {
    const events = await server.history(kind, id);
    return events.at(-1).type === last && events;
  });
  return history.map(({ type, data }, index) => ({ type, data: { ...data, timestamp: BEGAN + index * APART_MS } }));
}

const upTo = (events, test) => events.slice(0, events.findIndex(({ data }) => test(data)) + 1);
const half = () => upTo(debate, (data) => data.interjection === true);
const tokens = (words) => words.split(/(?<= )/);

async function publish(kind, id, events) {
  for (let from = 0; from < events.length; from += 100) await server.publish(kind, id, ...events.slice(from, from + 100));
}

/** Times of the server's own clock, and lines that grow with it, look different each time. */
const UNSTEADY = '.card-facts, .row-facts, .line, tbody td:last-child, .figure-note';

/**
 * @param {string} name
 * @param {(page: import('playwright-core').Page) => Promise<void>} arrive  until the page shows it
 * @param {{address: string, base?: () => string, views?: string[], tolerated?: RegExp, route?: [url: string, answer: object] | null, prepare?: (t) => Promise<void>}} how
 */
function state(name, { address, base = () => server.base, views = VIEWS, tolerated, route = null, prepare = async () => {} }, arrive) {
  for (const view of views) {
    const [width, colorScheme] = view.split('-');
    const context = { viewport: SIZES[width], colorScheme };
    test(`${name}, ${view}`, async (t) => {
      await prepare(t);
      const page = await openPage(t, browser, 'about:blank', { ...context, reducedMotion: 'reduce', tolerated });
      await page.clock.setFixedTime(BEGAN + 14 * APART_MS);
      if (route) await page.route(route[0], (asked) => asked.fulfill({ json: route[1] }));
      await page.goto(base() + address);
      await arrive(page);
      await assertFits(page, name);
      await assertAccessible(page, name);
      assertLooksAsKept(`${name}-${view}`, await page.screenshot({ animations: 'disabled', mask: [page.locator(UNSTEADY)], maskColor: '#888888' }));
    });
  }
}

/** Publishes once, for all views of a state. */
function once(act) {
  let done;
  return () => done ??= act();
}

// Home ------------------------------------------------------------------------------------------

let fresh;
const startFresh = once(async () => { fresh = await startServer(); });
after(() => fresh?.end());
state('first-visit', { address: '/', base: () => fresh.base, prepare: startFresh }, (page) => page.locator('#first-visit').waitFor());

let listed;
const list = once(async () => {
  listed = await startServer();
  const put = (kind, id, ...events) => listed.publish(kind, id, ...events);
  await put('debate', 'ended', ...debate.slice(0, 20), debate.at(-1));
  await put('conversation', 'ended-too', ...conversation.slice(0, 20), conversation.at(-1));
  await put('conversation', 'table', ...conversation.slice(0, 20));
  await put('debate', 'held', ...half(), { type: 'pause', data: {} });
  await put('debate', 'stage', ...half());
});
after(() => listed?.end());
const listedBase = () => listed.base;
state('home', { address: '/', base: listedBase, views: ALL_VIEWS, prepare: list }, (page) => until('the lists', async () => (await all(page, '.card')).length === 3 && (await all(page, '.row')).length === 2));
state('launch', { address: '/', base: listedBase, prepare: list }, async (page) => {
  await page.locator('#start').click();
  await page.getByText('A transcript of mine').click();
});
state('operator', { address: '/#/operator', base: listedBase, views: ALL_VIEWS, prepare: list }, async (page) => {
  await until('two answers', async () => (await all(page, 'tbody tr')).length === 5 && !(await all(page, 'tbody td.number')).includes('–'));
});

state('mishap', {
  address: '/', tolerated: /is not a function/,
  route: ['**/api/debates?limit=20', { streams: [{ id: 'x', title: 'Odd', status: 'live', phase: 1, turnCount: 0, subscribers: 0 }], next: null }],
}, (page) => page.getByRole('alert').waitFor());

// Signing in ------------------------------------------------------------------------------------

let guarded;
let token;
const guard = once(async () => {
  const secret = path.join(temporaryFolder(), 'secret');
  writeFileSync(secret, 'a secret that is long enough to be one');
  guarded = await startServer({ args: ['--jwt-secret-file', secret] });
  token = makeToken(secret, '--subscribe', '*', '--stats');
});
after(() => guarded?.end());
const guardedBase = () => guarded.base;
state('sign-in', { address: '/?debate=d', base: guardedBase, views: ALL_VIEWS, tolerated: /401/, prepare: guard }, (page) => page.locator('.door').waitFor());
state('sign-in-refused', { address: '/', base: guardedBase, tolerated: /401/, prepare: guard }, async (page) => {
  await page.getByLabel('Token').fill('eyJhbGciOiJIUzI1NiJ9.e30.c2lnbmF0dXJl');
  await page.getByRole('button', { name: 'Sign in' }).click();
  await page.locator('#objection bdi').waitFor();
});
state('signed-in', { address: '/#/operator', base: guardedBase, tolerated: /401/, prepare: guard }, async (page) => {
  await page.getByLabel('Token').fill(token);
  await page.getByRole('button', { name: 'Sign in' }).click();
  await page.getByText('Nothing has been published yet.').waitFor();
});

// A debate --------------------------------------------------------------------------------------

state('waiting', { address: '/?debate=not-begun' }, (page) => statusBecomes(page, 'Waiting'));

state('debate-live', {
  address: '/?debate=live',
  views: ALL_VIEWS,
  prepare: once(async () => {
    await publish('debate', 'live', half());
    const words = 'A fair hit, so I’ll move my line. Label every sentence as a guess. Let nobody call the thing *him*. But the drawer was never';
    await server.say('debate', 'live', ...tokens(words).map((token) => ({ type: 'token', data: { speaker: 'Pro Advocate', token } })));
  }),
}, async (page) => {
  await statusBecomes(page, 'Live');
  await until('somebody speaks', () => openWords(page));
});

state('debate-paused', {
  address: '/?debate=paused',
  prepare: once(() => publish('debate', 'paused', [...half(), { type: 'pause', data: { reason: 'The chair has asked for a minute.' } }])),
}, (page) => statusBecomes(page, 'Paused'));

state('debate-troubled', {
  address: '/?debate=troubled',
  prepare: once(() => publish('debate', 'troubled', [...half(), { type: 'error', data: { message: 'One of the models does not answer.' } }])),
}, (page) => statusBecomes(page, 'Live'));

state('debate-ended', { address: '/?debate=ended', views: ALL_VIEWS, prepare: once(() => publish('debate', 'ended', debate)) }, async (page) => {
  await statusBecomes(page, 'Ended');
  await page.locator('#scrubber').waitFor();
});

state('debate-end', { address: '/?debate=ended-foot', prepare: once(() => publish('debate', 'ended-foot', debate)) }, async (page) => {
  await page.locator('#scrubber').waitFor();
  await page.evaluate(() => scrollTo(0, document.documentElement.scrollHeight));
});

state('debate-replay', { address: '/?debate=replayed', prepare: once(() => publish('debate', 'replayed', debate)) }, async (page) => {
  await page.locator('#scrubber').focus();
  await page.keyboard.press('Home');
  for (let speech = 0; speech < 9; speech += 1) await page.keyboard.press('ArrowRight');
  await until('it is there', async () => (await all(page, '#transcript .speech:not(.open)')).length === 9);
});

{
  let cable;
  const begin = once(() => publish('debate', 'cut-off', half()));
  state('debate-reconnecting', {
    address: '/?debate=cut-off', base: () => cable.base, tolerated: /net::ERR_/,
    prepare: async (t) => {
      await begin();
      cable = await layCable({ port: server.port });
      t.after(() => cable.remove());
    },
  }, async (page) => {
    await statusBecomes(page, 'Live');
    cable.unplug();
    await statusBecomes(page, 'Reconnecting');
    await page.locator('#strip').waitFor();
  });
}

{
  let second;
  state('debate-gap', {
    address: '/?debate=reborn', base: () => second.base, tolerated: /net::ERR_/,
    prepare: async (t) => {
      second = await startServer({ args: ['--retry', '300ms'] });
      await second.publish('debate', 'reborn', ...half());
      t.after(() => second.end());
    },
  }, async (page) => {
    await statusBecomes(page, 'Live');
    const { port } = second;
    await second.end();
    // The same place, another history: whoever comes back is told that theirs is gone.
    second = await startServer({ args: ['--retry', '300ms'], port });
    await second.publish('debate', 'reborn', ...half().slice(0, 4));
    await page.locator('.note[data-kind="gap"]').waitFor();
    await statusBecomes(page, 'Live');
  });
}

state('refused', { address: '/?debate=no%20id', tolerated: /400/ }, (page) => statusBecomes(page, 'Refused'));

const HOSTILE = '<script>document.title="owned"</script> \u202Edenruter\u2066 **b';
state('hostile', {
  address: '/?debate=hostile',
  prepare: once(() => publish('debate', 'hostile', [
    { type: 'debate_started', data: { title: HOSTILE } },
    { type: 'utterance', data: { id: '1', timestamp: BEGAN, phase: HOSTILE, speaker: `Con ${'W'.repeat(200)}`, content: 'W'.repeat(60_000) } },
    { type: 'utterance', data: { id: '2', timestamp: BEGAN, phase: HOSTILE, speaker: `Pro ${HOSTILE}`, content: `${HOSTILE}\n\n| a |\n|---|\n| ${'x'.repeat(300)} |` } },
  ])),
}, async (page) => {
  await until('all is there', async () => (await all(page, '#transcript .speech:not(.open)')).length === 2);
  assert.doesNotMatch(await page.title(), /^owned/);
});

// A conversation --------------------------------------------------------------------------------

state('conversation-live', {
  address: '/?conversation=live',
  views: ALL_VIEWS,
  prepare: once(async () => {
    await publish('conversation', 'live', conversation.slice(0, conversation.findIndex(({ data }) => /cat is the joke/.test(data.content))));
    const say = (participantId, personaSlug, personaName, words) => server.say('conversation', 'live', ...tokens(words)
      .map((token) => ({ type: 'conversation_token', data: { participantId, personaSlug, personaName, segment: '0', token } })));
    await say('ines', 'patient-archaeologist', 'Inês Okafor', 'The cat is the joke, but the song isn’t. On the coast of Japan there are stones');
    await say('tomas', 'worried-engineer', 'Tomas Lind', 'As an engineer I must');
  }),
}, (page) => until('both speak', async () => (await all(page, '.speech.open')).length === 2));

state('conversation-ended', { address: '/?conversation=ended', prepare: once(() => publish('conversation', 'ended', conversation)) }, async (page) => {
  await statusBecomes(page, 'Ended');
  await page.locator('#scrubber').waitFor();
});
