/** The page at `/`, on the real server: what a person sees of a debate and of a conversation. */

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';

import { launchBrowser, launchWithWayBack } from './support/browser.mjs';
import { layCable } from './support/cable.mjs';
import { complete, phase, utterance } from './support/events.mjs';
import { beginFed, feedPage, PROSE } from './support/fed.mjs';
import { all, assertFits, openPage, openWords, PHONE, statusBecomes, words, wordsGrow } from './support/page.mjs';
import { startServer } from './support/server.mjs';
import { quietFor, until } from './support/until.mjs';

let browser;
let server;

before(async () => {
  [browser, server] = await Promise.all([launchBrowser(), startServer({ args: ['--retry', '300ms'] })]);
});
after(async () => {
  await browser?.close();
  await server?.end();
});

const open = (t, address, { base = server.base, ...options } = {}) => openPage(t, browser, base + address, options);
const speak = (id, speaker, token) => server.say('debate', id, { type: 'token', data: { speaker, token } });

test('first visit: one button starts the sample, and the debate is live, with phase and speaker and growing words', async (t) => {
  const fresh = await startServer();
  t.after(() => fresh.end());
  const page = await open(t, '/', { base: fresh.base });
  await page.getByRole('button', { name: 'Start a sample debate' }).click();
  await statusBecomes(page, 'Live');
  assert.match(page.url(), /\?debate=sample-\w+$/);
  await wordsGrow(page);
  assert.equal(await words(page, '#phase'), 'Opening Statements');
  assert.match(await words(page, '#speaker'), /Moderator/);
  assert.equal(await words(page, '#speaker-label'), 'Speaking');

  await page.locator('.bar .brand').click();
  await until('the list has it', async () => (await all(page, '.card')).length === 1);
  assert.match((await all(page, '.card'))[0], /Live.*talking AI of a dead person.*Opening Statements/);
  assert.equal(await page.locator('#first-visit').count(), 0);
  await page.locator('.card').click();
  await statusBecomes(page, 'Live');
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
      if (!phase?.textContent.trim() || !speaker?.textContent.trim() || !phase.checkVisibility() || !speaker.checkVisibility()) {
        window.shown.bad.push(document.body.innerText.slice(0, 200));
      }
      window.shown.frames += 1;
      window.shown.phases.add(phase?.textContent);
      window.shown.speakers.add(speaker?.querySelector('bdi')?.textContent ?? speaker?.textContent);
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
  assert.deepEqual(await all(page, '#transcript .speech:not(.open) h3'), data('utterance').map(({ speaker }) => speaker), 'every speech, in order');
  assert.equal(await page.locator('.speech.open').count(), 0, 'nobody is left speaking');
  assert.ok(shown.frames > 20);
});

test('deep link into the middle: the transcript so far, the speech so far, then what follows, each once', async (t) => {
  const id = 'deep-link';
  await server.publish('debate', id, { type: 'debate_started', data: { title: 'Is a deep link enough?' } }, phase('opening'), utterance(1), utterance(2));
  await server.say('debate', id, ...['Half ', 'a ', 'sentence'].map((token) => ({ type: 'token', data: { speaker: 'Pro Advocate', token } })));

  const page = await open(t, `/?debate=${id}`);
  await statusBecomes(page, 'Live');
  await until('the speech so far is there', async () => await openWords(page) === 'Half a sentence');
  assert.equal(await words(page, '#title'), 'Is a deep link enough?');
  assert.deepEqual(await all(page, '#transcript .speech:not(.open) .words'), ['speech 1', 'speech 2']);
  await speak(id, 'Pro Advocate', ', and on');
  await until('it grows', async () => await openWords(page) === 'Half a sentence, and on');
  assert.doesNotMatch(await words(page, '#announcer'), /Half a sentence/, 'screen readers are not told word by word');
  await server.publish('debate', id, utterance(3, 'Half a sentence, and on it went.'));
  await until('the speech is whole', async () => (await all(page, '#transcript .speech:not(.open) .words'))[2] === 'Half a sentence, and on it went.');
  assert.equal(await page.locator('.speech.open').count(), 0);
  await until('screen readers hear the whole speech', async () => /Pro Advocate: Half a sentence, and on it went\./.test(await words(page, '#announcer')));

  await server.publish('debate', id, complete);
  await statusBecomes(page, 'Ended');
  const late = await open(t, `/?debate=${id}`);
  await statusBecomes(late, 'Ended');
  assert.equal((await all(late, '#transcript .speech:not(.open)')).length, 3);
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
  assert.match(await words(watcher, '.plate'), /has ended/);
});

test('who steers by the keyboard stays where they are, and a stop asks once more for as long as they stay there', async (t) => {
  const id = 'steered-by-keys';
  const transcript = { title: 'Keys?', speakers: [{ id: 'pro', name: 'For Keys' }], script: [{ phase: 'Opening' }, { speaker: 'pro', text: 'One.' }, { silence_ms: 600_000 }] };
  await server.steer('debate', id, 'launch', { transcript });
  const page = await open(t, `/?debate=${id}`);
  await statusBecomes(page, 'Live');
  const focused = () => page.evaluate(() => document.activeElement.textContent);
  const press = (key) => page.keyboard.press(key);
  const reads = (label) => until(`the focus is on ${label}`, async () => await focused() === label);
  let [asked, letPass] = [0, null];
  await page.route('**/pause', async (route) => {
    asked += 1;
    await new Promise((resolve) => { letPass = resolve; });
    await route.continue();
  });

  await page.getByRole('button', { name: 'Pause' }).focus();
  await press('Enter');
  await until('the server is asked', () => letPass);
  await press('Enter');
  assert.equal(await focused(), 'Pause', 'while the server is asked');
  assert.equal(await page.getByRole('button', { name: 'Pause' }).getAttribute('aria-disabled'), 'true');
  letPass();
  await statusBecomes(page, 'Paused');
  await reads('Resume');
  assert.equal(asked, 1, 'no second time meanwhile');
  await press('Enter');
  await statusBecomes(page, 'Live');
  await reads('Pause');

  await press('Tab');
  await reads('Stop');
  const askedAgain = async () => {
    await press('Enter');
    await reads('Stop for everyone?');
  };
  await askedAgain();
  await until('screen readers hear it', async () => /Press again to stop for everyone/.test(await words(page, '#announcer')));
  await quietFor(4_500);
  assert.equal(await focused(), 'Stop for everyone?', 'nobody is hurried');
  await press('Escape');
  await reads('Stop');
  await askedAgain();
  await press('Shift+Tab');
  await press('Tab');
  await reads('Stop');
  await askedAgain();
  await press('Enter');
  await statusBecomes(page, 'Ended');
  await until('the focus is on the heading, and not lost with the buttons', () => page.evaluate(() => document.activeElement.id === 'title'));
});

test('who may not steer is told so, and is not offered it again', async (t) => {
  const id = 'not-yours';
  await server.publish('debate', id, utterance(1));
  const page = await open(t, `/?debate=${id}`, { tolerated: /403/ });
  await page.route('**/pause', (route) => route.fulfill({ status: 403, json: { error: { code: 'forbidden', message: 'no grant' } } }));
  await page.getByRole('button', { name: 'Pause' }).click();
  await until('it says why', async () => /may watch, but not steer/.test(await words(page, '.controls')));
  assert.equal(await page.locator('.controls button').count(), 0);
});

test('a transcript of one’s own: what is wrong with it is said, and then it is performed', async (t) => {
  const page = await open(t, '/', { tolerated: /422/ });
  await page.locator('#start').click();
  await page.getByText('A transcript of mine').click();
  await page.locator('#launch-transcript').fill('no transcript at all');
  await page.locator('#launch-id').fill('of-my-own');
  await page.getByRole('button', { name: 'Start', exact: true }).click();
  await until('it says what is wrong', async () => (await all(page, '.launch .refused')).length === 1);

  const transcript = { title: 'Tea or coffee?', speakers: [{ id: 'pro', name: 'For Tea' }], script: [{ phase: 'Opening' }, { speaker: 'pro', text: 'It is a leaf. It is enough.' }, { silence_ms: 600_000 }] };
  await page.locator('#launch-transcript').fill(JSON.stringify(transcript));
  await page.getByRole('button', { name: 'Start', exact: true }).click();
  await until('it is performed', async () => (await all(page, '#transcript .speech:not(.open) .words'))[0] === 'It is a leaf. It is enough.');
  assert.match(page.url(), /\?debate=of-my-own$/);
  assert.equal(await words(page, '#title'), 'Tea or coffee?');
});

test('a conversation: hosts, guests and turns, several voices at once, and what has been said so far', async (t) => {
  const id = 'long-table';
  const page = await open(t, `/?conversation=${id}`);
  await statusBecomes(page, 'Waiting');
  await server.steer('conversation', id, 'launch', { speed: 4 });
  await wordsGrow(page);
  assert.equal(await words(page, '#title'), 'How do you warn somebody who will be born in ten thousand years?');
  assert.match(await words(page, '#speaker'), /Mara Quint/);
  assert.deepEqual(await all(page, '.member-name'), ['Mara Quint', 'Inês Okafor', 'Tomas Lind', 'Bea Castellano']);
  assert.match((await all(page, '.cast li'))[0], /speaking/);
  await server.steer('conversation', id, 'stop');
  await statusBecomes(page, 'Ended');

  const both = 'two-at-once';
  await server.publish('conversation', both, { type: 'conversation_context_updated', data: { sessionId: both, summary: 'They both want the cake.', turnCount: 3 } });
  const token = (who, token) => ({ type: 'conversation_token', data: { participantId: who, personaSlug: who, personaName: who.toUpperCase(), segment: '0', token } });
  await server.say('conversation', both, token('ada', 'My '), token('ben', 'No, '), token('ada', 'cake'), token('ben', 'mine'));
  const table = await open(t, `/?conversation=${both}`);
  await until('both are heard', async () => (await all(table, '.speech.open .words')).join('|') === 'My cake|No, mine');
  assert.deepEqual(await all(table, '.speech.open h3'), ['ADA', 'BEN']);
  assert.equal(await words(table, '#summary'), 'They both want the cake.');
});

test('a phase that is no text, which the server lets pass, leaves the phase as it was', async (t) => {
  const id = 'odd-phases';
  const said = { type: 'conversation_utterance', data: { sessionId: id, speakerName: 'Ada', personaSlug: 'ada', content: 'Hello.', isHost: true, turnCount: 1, timestamp: 1 } };
  await server.publish('conversation', id, { type: 'phase_transition', data: { phase: 1 } }, { type: 'phase_transition', data: { phase: 'Opening' } }, { type: 'phase_transition', data: {} }, said);
  const page = await open(t, `/?conversation=${id}`);
  await until('what is said is there', async () => (await all(page, '#transcript .speech .words')).join() === 'Hello.');
  assert.equal(await words(page, '#phase'), 'Opening');
  await server.publish('conversation', id, { type: 'phase_transition', data: { phase: { name: 'Rebuttal' } } }, { type: 'conversation_completed', data: {} });
  await statusBecomes(page, 'Ended');
  assert.equal(await words(page, '#phase'), 'Opening');
});

test('what cannot be drawn is told, with the focus on it, and leaves a way out', async (t) => {
  const page = await open(t, '/health/live', { tolerated: /is not a function/ });
  let odd = true;
  await page.route('**/api/debates?limit=20', (route) => (odd ? route.fulfill({ json: { streams: [{ id: 'x', title: 'Odd', status: 'live', phase: 1, turnCount: 0, subscribers: 0 }], next: null } }) : route.continue()));
  await page.goto(`${server.base}/`);
  const alert = page.getByRole('alert');
  await alert.waitFor();
  assert.match(await alert.textContent(), /cannot be drawn.*is not a function/);
  assert.equal(await page.evaluate(() => document.activeElement.tagName), 'H1');
  await alert.getByRole('link', { name: 'Operator' }).click();
  await page.locator('.figure').first().waitFor();
  await page.goBack();
  await alert.waitFor();
  odd = false;
  await alert.getByRole('button', { name: 'Reload' }).click();
  await page.locator('#start').waitFor();
  assert.equal(await alert.count(), 0);
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
  await until('it says so', async () => /what is said meanwhile will follow/.test(await words(page, '#strip')));
  await server.publish('debate', id, utterance(3));
  cable.plugIn();
  await statusBecomes(page, 'Live');
  await server.publish('debate', id, utterance(4));
  await until('all is there', async () => (await all(page, '#transcript .speech:not(.open)')).length === 4);
  assert.deepEqual(await all(page, '#transcript .speech:not(.open) .words'), [1, 2, 3, 4].map((number) => `speech ${number}`));
  assert.equal(await page.locator('#strip').count(), 0);
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
  await until('the next speech is there', async () => (await all(page, '#transcript .speech:not(.open)')).length === 2);
  assert.deepEqual(await all(page, '#transcript .speech:not(.open) .words'), ['speech 1', 'I was about to say so.']);
  assert.equal(await page.locator('.speech.open').count(), 0);
});

test('whoever reads further up is left there, is told what is new, and can jump to the live edge', async (t) => {
  const id = 'long-read';
  await server.publish('debate', id, ...Array.from({ length: 30 }, (_, index) => utterance(index + 1, `speech ${index + 1} `.repeat(40))));
  const page = await open(t, `/?debate=${id}`);
  await statusBecomes(page, 'Live');
  const atEnd = () => page.evaluate(() => document.documentElement.scrollHeight - innerHeight - scrollY < 2);
  await until('a running debate opens at its live edge', atEnd);
  await server.publish('debate', id, utterance(31));
  await until('the page follows', async () => (await all(page, '#transcript .speech:not(.open)')).length === 31 && await atEnd());

  await page.mouse.move(900, 400);
  await page.mouse.wheel(0, -1500);
  await page.locator('#jump').waitFor();
  const place = await page.evaluate(() => scrollY);
  await server.publish('debate', id, utterance(32), utterance(33));
  await until('it tells of the new ones', async () => /Jump to live · 2 new/.test(await words(page, '#jump')));
  assert.equal(await page.evaluate(() => scrollY), place);
  await page.locator('#jump').click();
  await until('the live edge', atEnd);
  assert.equal(await page.locator('#jump').count(), 0);
});

test('a finished debate can be gone through: the page shows what stood there then, and plays on from there', async (t) => {
  const id = 'gone-through';
  await server.publish('debate', id, { type: 'debate_started', data: { title: 'Over?' } }, phase('Opening'), utterance(1, 'The first speech. '.repeat(10).trim()),
    phase('Rebuttals'), utterance(2, 'The second speech. '.repeat(10).trim()), utterance(3, 'The last.'), complete);
  const page = await open(t, `/?debate=${id}`);
  const scrubber = page.locator('#scrubber');
  await scrubber.focus();
  assert.equal((await all(page, '#transcript .speech:not(.open)')).length, 3, 'all of it at first');

  await page.keyboard.press('Home');
  await until('the beginning', async () => (await all(page, '#transcript .speech:not(.open)')).length === 0);
  assert.equal(await words(page, '#status'), 'Replay');
  assert.equal(await words(page, '#phase'), 'Opening');
  await page.keyboard.press('ArrowRight');
  await until('the second speech begins', async () => (await all(page, '#transcript .speech:not(.open)')).length === 1 && await words(page, '#phase') === 'Rebuttals');
  assert.match(await scrubber.getAttribute('aria-valuetext'), /Rebuttals · Con Advocate/);
  await page.getByRole('button', { name: 'Replay' }).click();
  await until('it is spoken again', async () => /^The second/.test(await openWords(page)));
  await page.getByRole('button', { name: 'Hold the replay' }).click();
  const held = await openWords(page);
  assert.ok('The second speech. '.repeat(10).startsWith(held.trimEnd()), held);
  await scrubber.focus();
  await page.keyboard.press('End');
  await statusBecomes(page, 'Ended');
  assert.deepEqual((await all(page, '#transcript .speech:not(.open) h3')), ['Pro Advocate', 'Con Advocate', 'Pro Advocate']);
});

test('the operator sees followers come and go, what is published, and why connections ended', async (t) => {
  const own = await startServer();
  t.after(() => own.end());
  await own.publish('debate', 'watched', { type: 'debate_started', data: { title: 'Watched?' } }, utterance(1));
  const page = await open(t, '/#/operator', { base: own.base });
  const row = page.locator('tbody tr', { hasText: 'Watched?' });
  await row.waitFor();
  const figure = (label) => page.locator('.figure', { has: page.getByRole('heading', { name: label, exact: true }) }).locator('.figure-value').textContent();
  assert.equal(await figure('Followers'), '0');

  const follower = await open(t, '/?debate=watched', { base: own.base });
  await statusBecomes(follower, 'Live');
  assert.deepEqual([await figure('Behind now'), await figure('Slowest publish')], ['0', '–']);
  await own.publish('debate', 'watched', utterance(2));
  await until('what a publish took is told', async () => /^<\s\d+\sm?s$/.test(await figure('Slowest publish')));
  await until('the follower is counted', async () => await figure('Followers') === '1' && (await row.locator('.number').first().textContent()) === '1');
  await follower.context().close();
  await until('it is told why it ended', async () => /Closed by the client, or it was gone1/.test((await all(page, '.reasons')).join()));
  assert.equal(await figure('Followers'), '0');
});

test('colours are as the system has them until somebody chooses, and then stay chosen', async (t) => {
  const page = await open(t, '/', { colorScheme: 'dark' });
  const ground = () => page.evaluate(() => getComputedStyle(document.body).backgroundColor);
  const dark = await ground();
  await page.getByRole('button', { name: /^Colours/ }).click();
  await until('it is light', async () => await ground() !== dark);
  const light = await ground();
  await page.reload();
  assert.equal(await ground(), light);
});

test('the keyboard reaches everything in order, sees where it is, and can skip to the content', async (t) => {
  const id = 'by-keyboard';
  await server.publish('debate', id, { type: 'debate_started', data: { title: 'Keys?' } }, phase('Opening'), utterance(1), complete);
  const page = await open(t, `/?debate=${id}`);
  await page.locator('#scrubber').waitFor();
  const names = [];
  for (let step = 0; step < 12; step += 1) {
    await page.keyboard.press('Tab');
    const [name, outlined] = await page.evaluate(() => {
      const node = document.activeElement;
      if (node === document.body) return ['To the content', true]; // out of the page, and about to begin again
      const style = getComputedStyle(node.id === 'scrubber' ? node.parentElement : node);
      return [node.getAttribute('aria-label') ?? (node.labels?.[0] ?? node).textContent, style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) > 0];
    });
    if (name === 'To the content' || names.includes(name)) break;
    assert.ok(outlined, `${name}: nobody sees that the keyboard is there`);
    names.push(name.replace(/Colours.*/, 'Colours').replace(/^Opening.*/, 'Opening').replace(/^Speed.*/, 'Speed'));
  }
  // The heading had the focus, as after each change of view: what lies before it comes round last.
  assert.deepEqual(names.filter((name) => ['Opening', 'See what else is on', 'Replay', 'Place in the history', 'Speed'].includes(name)),
    ['Opening', 'See what else is on', 'Replay', 'Place in the history', 'Speed']);
  await page.locator('.skip').focus();
  await page.keyboard.press('Enter');
  assert.equal(await page.evaluate(() => document.activeElement.id), 'main');
  assert.match(page.url(), /\?debate=by-keyboard/);
});

test('who wants no motion gets none', async (t) => {
  const id = 'still';
  await server.publish('debate', id, utterance(1));
  await speak(id, 'Con Advocate', 'I move');
  const moving = (page) => page.evaluate(() => document.getAnimations().length);
  const page = await open(t, `/?debate=${id}`);
  await until('the speech is there', () => openWords(page));
  assert.ok(await moving(page) > 0);
  const still = await open(t, `/?debate=${id}`, { reducedMotion: 'reduce' });
  await until('the speech is there', () => openWords(still));
  assert.equal(await moving(still), 0);
});

test('10,000 tokens a second: what stands there is not drawn again, and text is drawn no more often than anybody sees', async (t) => {
  const page = await (await browser.newContext({ bypassCSP: true })).newPage();
  t.after(() => page.context().close());
  await feedPage(page);
  await page.goto(`${server.base}/?debate=fast`);
  await beginFed(page);
  await statusBecomes(page, 'Live');
  const seen = await page.evaluate(async (tokens) => {
    let [draws, added] = [0, 0];
    const elements = (node) => (node instanceof Element ? 1 + node.querySelectorAll('*').length : 0);
    new MutationObserver((changes) => {
      draws += 1;
      for (const { addedNodes } of changes) for (const node of addedNodes) added += elements(node);
    }).observe(document.getElementById('transcript'), { childList: true, subtree: true, characterData: true });
    const { ms } = await window.speak(10, 4_000, tokens);
    await new Promise((resolve) => setTimeout(resolve, 200)); // for the last draw, which counts among them
    return { draws, added, ms: ms + 200, there: document.querySelectorAll('#transcript *').length, words: document.querySelector('#transcript').textContent.length };
  }, PROSE);
  t.diagnostic(JSON.stringify(seen));
  assert.ok(seen.words > 100_000, 'all of it is there');
  assert.ok(seen.draws > 10 && seen.draws <= seen.ms / 50 + 2, `${seen.draws} draws in ${seen.ms} ms`);
  assert.ok(seen.added <= seen.there * 1.1, `${seen.added} elements were made for ${seen.there}`);
});

test('a speech that ends stays where it grew: what somebody has selected in it stays selected', async (t) => {
  const id = 'selected';
  const page = await open(t, `/?debate=${id}`);
  await speak(id, 'Pro Advocate', 'First of all, words.\n\nAnd then');
  await until('it is being said', async () => /And then$/.test(await openWords(page)));
  await page.evaluate(() => getSelection().selectAllChildren(document.querySelector('.speech.open .words p')));
  await server.publish('debate', id, { type: 'utterance', data: { ...utterance(1).data, content: 'First of all, words.\n\nAnd then the end.' } });
  await until('it is finished', async () => (await all(page, '#transcript .speech:not(.open) .words'))[0] === 'First of all, words.And then the end.');
  assert.equal(await page.evaluate(() => getSelection().toString()), 'First of all, words.');
});

test('the first load is at most 150 KB on the wire, and nothing of it is sent again', async (t) => {
  const page = await open(t, '/');
  await page.getByRole('heading', { level: 1 }).waitFor();
  const loaded = () => page.evaluate(() => performance.getEntries()
    .filter(({ entryType, name }) => entryType === 'navigation' || (entryType === 'resource' && !name.includes('/api/')))
    .map(({ name, encodedBodySize, transferSize, responseStatus }) => ({ name, encodedBodySize, transferSize, responseStatus })));
  const first = await loaded();
  assert.ok(first.length >= 3, JSON.stringify(first));
  const bytes = first.reduce((sum, { encodedBodySize }) => sum + encodedBodySize, 0);
  assert.ok(bytes > 10_000 && bytes <= 150 * 1024, `${bytes} bytes: ${JSON.stringify(first)}`);
  await page.reload();
  await page.getByRole('heading', { level: 1 }).waitFor();
  const again = (await loaded()).filter(({ name }) => name.endsWith('.js') || name.endsWith('.css'));
  assert.ok(again.length >= 2 && again.every(({ transferSize }) => transferSize < 1_000), JSON.stringify(again));
});

test('the way back: the page is shown as it was left, lets nobody count it meanwhile, and goes on with what it missed', async (t) => {
  const keeping = await launchWithWayBack();
  t.after(() => keeping.close());
  const id = 'come-back';
  await server.publish('debate', id, utterance(1));
  const page = await (await keeping.newContext()).newPage();
  await page.goto(`${server.base}/?debate=${id}`);
  await statusBecomes(page, 'Live');
  await page.evaluate(() => {
    window.shown = [];
    addEventListener('pageshow', ({ persisted }) => window.shown.push(persisted));
  });
  const followers = async () => (await (await fetch(server.url('debate', id, ''))).json()).subscribers;
  assert.equal(await followers(), 1);
  await page.goto(`${server.base}/`);
  await until('it is not followed any more', async () => await followers() === 0);
  await server.publish('debate', id, utterance(2));
  await page.evaluate(() => { history.back(); });
  await until('it is the page of before', () => page.evaluate(() => window.shown));
  assert.deepEqual(await page.evaluate(() => window.shown), [true], 'kept, not loaded again');
  await until('it has what was said meanwhile', async () => (await all(page, '#transcript .speech .words')).join() === 'speech 1,speech 2');
  await statusBecomes(page, 'Live');
  assert.equal(await followers(), 1);
});

test('on a processor six times as slow, what is drawn can be used at once', async (t) => {
  const page = await (await browser.newContext()).newPage();
  t.after(() => page.context().close());
  const session = await page.context().newCDPSession(page);
  const drawn = [];
  for (const rate of [1, 6]) {
    await session.send('Emulation.setCPUThrottlingRate', { rate });
    await page.goto(server.base);
    await page.locator('#start').click();
    await page.locator('dialog.launch[open]').waitFor();
    drawn.push(await page.evaluate(() => performance.getEntriesByName('first-contentful-paint')[0].startTime));
  }
  t.diagnostic(`first drawn after ${drawn.map(Math.round).join(' ms, and after ')} ms`);
});

test('on a phone nothing is wider than the screen', async (t) => {
  const id = 'on-a-phone';
  const home = await open(t, '/', { viewport: PHONE });
  await until('the lists are there', async () => (await all(home, '.card')).length > 0);
  await assertFits(home, 'the list');

  const page = await open(t, `/?debate=${id}`, { viewport: PHONE });
  await statusBecomes(page, 'Waiting');
  await assertFits(page, 'a stream that waits');
  // As unkind as names and texts get: nowhere to break, and a wide table.
  const unbroken = 'Donaudampfschifffahrtsgesellschaftskapitän'.repeat(3);
  await server.publish('debate', id, { type: 'debate_started', data: { title: unbroken } }, phase(unbroken),
    { type: 'utterance', data: { ...utterance(1).data, speaker: unbroken, content: `${unbroken}\n\n| a | b |\n|---|---|\n| ${unbroken} | ${unbroken} |\n\n\`\`\`\n${unbroken}\n\`\`\`` } });
  await speak(id, 'Con Advocate', unbroken);
  await until('it is all there', () => openWords(page));
  await assertFits(page, 'a live debate');
  await page.getByRole('button', { name: 'About this stream' }).click();
  await page.locator('#details .cast').waitFor();
  await assertFits(page, 'the details');
});

test('what publishers send is text, never markup or script, and turns no text around it', async (t) => {
  const id = 'hostile';
  const attack = '<img src=x onerror="document.title=\'owned\'"><script>document.title="owned"</script>[x](javascript:alert(1)) \u202Egnorw\u2066';
  await server.publish('debate', id, { type: 'debate_started', data: { title: attack } }, phase(attack),
    { type: 'utterance', data: { ...utterance(1).data, speaker: attack, content: attack } },
    { type: 'utterance', data: { ...utterance(2).data, content: 'W'.repeat(60_000) } });
  const page = await open(t, `/?debate=${id}`);
  await until('it is there', async () => (await all(page, '#transcript .speech:not(.open)')).length === 2);
  assert.match((await all(page, '#transcript .speech:not(.open) .words'))[0], /<img src=x/);
  assert.equal(await page.locator('#root img, #root script, #root a[href^="javascript"]').count(), 0);
  assert.match(await page.title(), /^<img/);
  await assertFits(page, 'a word of 60 KB');
  // Bidi marks end where the text of the publisher ends: every such text is isolated.
  const loose = await page.evaluate(() => {
    const walker = document.createTreeWalker(document.getElementById('root'), NodeFilter.SHOW_TEXT);
    const found = [];
    while (walker.nextNode()) {
      const { data, parentElement } = walker.currentNode;
      if (data.includes('\u202E') && !parentElement.closest('bdi, [dir="auto"], [aria-hidden="true"], #announcer')) found.push(parentElement.outerHTML.slice(0, 120));
    }
    return found;
  });
  assert.deepEqual(loose, []);
});
