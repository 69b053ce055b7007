/** The page at `/`, on the real server: what a person sees of a debate and of a conversation. */

import assert from 'node:assert/strict';
import { mkdirSync } from 'node:fs';
import path from 'node:path';
import { after, before, test } from 'node:test';

import { launchBrowser } from './support/browser.mjs';
import { layCable } from './support/cable.mjs';
import { complete, phase, utterance } from './support/events.mjs';
import { startServer, temporaryFolder } from './support/server.mjs';
import { until } from './support/until.mjs';

const PHONE = { width: 390, height: 844 };
const DESKTOP = { width: 1280, height: 800 };

/** Pictures of what was seen: in a folder that stays, if one is named. */
const PICTURES = process.env.CLEARSIDE_PICTURES ?? temporaryFolder();

let browser;
let server;

before(async () => {
  mkdirSync(PICTURES, { recursive: true });
  [browser, server] = await Promise.all([launchBrowser(), startServer({ args: ['--retry', '300ms'] })]);
});
after(async () => {
  await browser?.close();
  await server?.end();
});

/**
 * Opens a page, and in the end holds against it all that its console complained of: script errors,
 * violations of the content security policy, resources that are not there.
 */
async function open(t, address, { viewport = DESKTOP, base = server.base, tolerated = /(?!)/ } = {}) {
  const context = await browser.newContext({ viewport });
  const page = await context.newPage();
  const complaints = [];
  page.on('pageerror', (error) => complaints.push(error.stack));
  page.on('console', (message) => { if (['error', 'warning'].includes(message.type())) complaints.push(message.text()); });
  await page.goto(base + address);
  t.after(async () => {
    await context.close();
    assert.deepEqual(complaints.filter((complaint) => !tolerated.test(complaint)), []);
  });
  return page;
}

const words = (page, selector) => page.locator(selector).textContent();
const all = (page, selector) => page.locator(selector).allTextContents();
const statusBecomes = (page, status) => until(`the page says ${status}`, async () => await words(page, '#status') === status);
const openWords = async (page) => (await all(page, '#open .words'))[0] ?? '';

/** Waits until what is being spoken has grown, without what was there having changed. */
async function wordsGrow(page) {
  const first = await until('somebody speaks', () => openWords(page));
  return until('the speech grows', async () => {
    const later = await openWords(page);
    return later.length > first.length && later.startsWith(first.trimEnd());
  });
}

async function assertFits(page, what) {
  const [content, width] = await page.evaluate(() => [document.documentElement.scrollWidth, innerWidth]);
  assert.ok(content <= width, `${what} is ${content} px wide on ${width} px`);
}

test('first visit: one button starts the sample, and the debate is live, with phase and speaker and growing words', async (t) => {
  const fresh = await startServer();
  t.after(() => fresh.end());
  const page = await open(t, '/', { base: fresh.base });
  await page.locator('#first-visit').waitFor();
  await page.screenshot({ path: path.join(PICTURES, 'first-visit.png') });

  await page.locator('#first-visit button').click();
  await statusBecomes(page, 'Live');
  assert.match(page.url(), /\?debate=sample-\w+$/);
  await wordsGrow(page);
  assert.equal(await words(page, '#phase'), 'Opening Statements');
  assert.match(await words(page, '#speaker'), /Moderator/);
  assert.equal(await words(page, '#speaker-label'), 'Speaking');
  await page.screenshot({ path: path.join(PICTURES, 'live.png') });

  await page.locator('.bar .brand').click();
  await until('the list has it', async () => (await all(page, '#debate-list .stream')).length === 1);
  assert.equal(await page.locator('#first-visit').isVisible(), false);
  await page.screenshot({ path: path.join(PICTURES, 'home.png') });
});

test('FR-204: phase and speaker are shown at all times, from before the first word to after the last', async (t) => {
  const id = 'whole-debate';
  const page = await open(t, `/?debate=${id}`);
  await statusBecomes(page, 'Waiting');
  // Whatever the page shows in any frame, these two places are never empty or hidden.
  await page.evaluate(() => {
    window.shown = { frames: 0, bad: [], phases: new Set(), speakers: new Set() };
    (function look() {
      const [phase, speaker] = ['phase', 'speaker'].map((id) => document.getElementById(id));
      if (!phase.textContent.trim() || !speaker.textContent.trim() || !phase.checkVisibility() || !speaker.checkVisibility()) {
        window.shown.bad.push(document.getElementById('watch').innerText.slice(0, 200));
      }
      window.shown.frames += 1;
      window.shown.phases.add(phase.textContent);
      window.shown.speakers.add(speaker.querySelector('bdi')?.textContent ?? speaker.textContent);
      requestAnimationFrame(look);
    })();
  });
  await server.steer('debate', id, 'launch', { speed: 40 });
  await statusBecomes(page, 'Ended');

  const shown = await page.evaluate(() => ({ ...window.shown, phases: [...window.shown.phases], speakers: [...window.shown.speakers] }));
  assert.deepEqual(shown.bad, []);
  const history = await server.history('debate', id);
  const data = (type) => history.filter((event) => event.type === type).map((event) => event.data);
  assert.deepEqual(new Set(shown.phases), new Set(['Not begun', ...data('phase_transition').map(({ phase }) => phase)]));
  const speakers = new Set(data('utterance').map(({ speaker }) => speaker));
  assert.deepEqual(new Set(shown.speakers), new Set(['Nobody yet', ...speakers]));
  assert.deepEqual(await all(page, '#transcript .speech h3'), data('utterance').map(({ speaker }) => speaker), 'every speech, in order');
  assert.equal(await page.locator('#open .speech').count(), 0, 'nobody is left speaking');
  assert.ok(shown.frames > 20);
  await page.screenshot({ path: path.join(PICTURES, 'ended.png') });
});

test('deep link into the middle: the transcript so far, the speech so far, then what follows, each once', async (t) => {
  const id = 'deep-link';
  await server.publish('debate', id, { type: 'debate_started', data: { title: 'Is a deep link enough?' } }, phase('opening'), utterance(1), utterance(2));
  await server.say('debate', id, ...['Half ', 'a ', 'sentence'].map((token) => ({ type: 'token', data: { speaker: 'Pro Advocate', token } })));

  const page = await open(t, `/?debate=${id}`);
  await statusBecomes(page, 'Live');
  await until('the speech so far is there', async () => await openWords(page) === 'Half a sentence');
  assert.equal(await words(page, '#title'), 'Is a deep link enough?');
  assert.deepEqual(await all(page, '#transcript .speech .words'), ['speech 1', 'speech 2']);
  await server.say('debate', id, { type: 'token', data: { speaker: 'Pro Advocate', token: ', and on' } });
  await until('it grows', async () => await openWords(page) === 'Half a sentence, and on');
  await server.publish('debate', id, utterance(3, 'Half a sentence, and on it went.'));
  await until('the speech is whole', async () => (await all(page, '#transcript .speech .words'))[2] === 'Half a sentence, and on it went.');
  assert.equal(await page.locator('#open .speech').count(), 0);
  assert.match(await words(page, '#announcer'), /Pro Advocate: Half a sentence, and on it went\./, 'screen readers hear the whole speech');

  await server.publish('debate', id, complete);
  await statusBecomes(page, 'Ended');
  const late = await open(t, `/?debate=${id}`);
  await statusBecomes(late, 'Ended');
  assert.equal((await all(late, '#transcript .speech')).length, 3);
});

test('pause holds the words, resume lets them go on where they stopped, stop ends it for everyone', async (t) => {
  const id = 'steered';
  const page = await open(t, `/?debate=${id}`);
  const watcher = await open(t, `/?debate=${id}`);
  await statusBecomes(page, 'Waiting');
  await page.getByRole('button', { name: 'Play the sample here' }).click();
  await statusBecomes(page, 'Live');
  await wordsGrow(page);

  await page.getByRole('button', { name: 'Pause' }).click();
  for (const tab of [page, watcher]) await statusBecomes(tab, 'Paused');
  await page.screenshot({ path: path.join(PICTURES, 'paused.png') });
  const heldAt = await until('no word has come for a second', async () => {
    const before = await openWords(page);
    await new Promise((resolve) => setTimeout(resolve, 1_000));
    return before === await openWords(page) && before;
  });
  await page.getByRole('button', { name: 'Resume' }).click();
  for (const tab of [page, watcher]) await statusBecomes(tab, 'Live');
  await until('the words go on', async () => {
    const now = await openWords(page);
    return now.length > heldAt.length && now.startsWith(heldAt.trimEnd());
  });

  await page.getByRole('button', { name: 'Stop' }).click();
  await page.getByRole('button', { name: 'Stop for everyone?' }).click();
  for (const tab of [page, watcher]) await statusBecomes(tab, 'Ended');
  assert.match(await words(watcher, '#placeholder'), /has ended/);
});

test('a conversation: hosts, guests and turns, as they are spoken and at the end', async (t) => {
  const id = 'long-table';
  const page = await open(t, `/?conversation=${id}`);
  await statusBecomes(page, 'Waiting');
  await server.steer('conversation', id, 'launch', { speed: 4 });
  await wordsGrow(page);
  assert.equal(await words(page, '#title'), 'How do you warn somebody who will be born in ten thousand years?');
  assert.match(await words(page, '#speaker'), /Mara Quint/);
  await page.screenshot({ path: path.join(PICTURES, 'conversation.png') });
  await server.steer('conversation', id, 'stop');
  await statusBecomes(page, 'Ended');
});

test('a dropped connection is said once it lasts, and the page goes on with nothing lost or doubled', async (t) => {
  const cable = await layCable({ port: server.port });
  t.after(() => cable.remove());
  const id = 'interrupted';
  await server.publish('debate', id, utterance(1), utterance(2));
  const page = await open(t, `/?debate=${id}`, { base: cable.base, tolerated: /net::ERR_/ });
  await statusBecomes(page, 'Live');

  cable.unplug();
  await statusBecomes(page, 'Reconnecting');
  await until('it says why', async () => /can’t be reached/.test(await words(page, '#strip-text')));
  await page.screenshot({ path: path.join(PICTURES, 'reconnecting.png') });
  await server.publish('debate', id, utterance(3));
  cable.plugIn();
  await statusBecomes(page, 'Live');
  await server.publish('debate', id, utterance(4));
  await until('all is there', async () => (await all(page, '#transcript .speech')).length === 4);
  assert.deepEqual(await all(page, '#transcript .speech .words'), [1, 2, 3, 4].map((number) => `speech ${number}`));
  assert.equal(await page.locator('#strip').isVisible(), false);
});

test('a restart of the server in the middle of a speech: the page is live again by itself', async (t) => {
  const first = await startServer({ args: ['--retry', '300ms'] });
  await first.publish('debate', 'd', utterance(1));
  const page = await open(t, '/?debate=d', { base: first.base, tolerated: /net::ERR_/ });
  await statusBecomes(page, 'Live');
  await first.say('debate', 'd', { type: 'token', data: { speaker: 'Con Advocate', token: 'I was about to' } });
  await until('the speech is shown', async () => await openWords(page) === 'I was about to');

  const { code } = await first.end('SIGINT');
  assert.equal(code, 0);
  await statusBecomes(page, 'Reconnecting');
  const second = await startServer({ args: ['--retry', '300ms'], port: first.port, database: first.database });
  t.after(() => second.end());
  await statusBecomes(page, 'Live');
  await second.publish('debate', 'd', utterance(2, 'I was about to say so.'));
  await until('the next speech is there', async () => (await all(page, '#transcript .speech')).length === 2);
  assert.deepEqual(await all(page, '#transcript .speech .words'), ['speech 1', 'I was about to say so.']);
  assert.equal(await page.locator('#open .speech').count(), 0);
});

test('on a phone nothing is wider than the screen', async (t) => {
  const id = 'on-a-phone';
  const home = await open(t, '/', { viewport: PHONE });
  await until('the lists are there', async () => (await all(home, '.stream-title')).length > 0);
  await assertFits(home, 'the list');
  await home.screenshot({ path: path.join(PICTURES, 'phone-home.png') });

  const page = await open(t, `/?debate=${id}`, { viewport: PHONE });
  await statusBecomes(page, 'Waiting');
  await assertFits(page, 'a stream that waits');
  // As unkind as names and texts get: nowhere to break, and a wide table.
  const unbroken = 'Donaudampfschifffahrtsgesellschaftskapitän'.repeat(3);
  await server.publish('debate', id, { type: 'debate_started', data: { title: unbroken } }, phase(unbroken),
    { type: 'utterance', data: { ...utterance(1).data, speaker: unbroken, content: `${unbroken}\n\n| a | b |\n|---|---|\n| ${unbroken} | ${unbroken} |\n\n\`\`\`\n${unbroken}\n\`\`\`` } });
  await server.say('debate', id, { type: 'token', data: { speaker: 'Con Advocate', token: unbroken } });
  await until('it is all there', () => openWords(page));
  await assertFits(page, 'a live debate');
  await page.screenshot({ path: path.join(PICTURES, 'phone-live.png') });
  await page.getByRole('button', { name: 'Details' }).click();
  await page.locator('#details').waitFor();
  await assertFits(page, 'the details');
  await page.screenshot({ path: path.join(PICTURES, 'phone-details.png') });
});

test('what publishers send is text, never markup or script', async (t) => {
  const id = 'hostile';
  const attack = '<img src=x onerror="document.title=\'owned\'"><script>document.title="owned"</script>[x](javascript:alert(1))';
  await server.publish('debate', id, { type: 'debate_started', data: { title: attack } },
    { type: 'utterance', data: { ...utterance(1).data, speaker: attack, content: attack } });
  const page = await open(t, `/?debate=${id}`);
  await until('it is there', async () => (await all(page, '#transcript .speech')).length === 1);
  assert.match(await words(page, '#transcript .speech .words'), /<img src=x/);
  assert.equal(await page.locator('main img, main script, a[href^="javascript"]').count(), 0);
  assert.match(await page.title(), /<img/);
});
