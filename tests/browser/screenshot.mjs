/**
 * Takes the README's picture: the sample debate, half-way, on the page of a real server.
 *
 * It is performed at its natural pace, so that the times in the picture are true: two minutes.
 * Run it as `scripts/screenshot.sh`.
 */

import assert from 'node:assert/strict';
import { statSync } from 'node:fs';
import path from 'node:path';

import { launchBrowser } from './support/browser.mjs';
import { startServer } from './support/server.mjs';
import { until } from './support/until.mjs';

const PICTURE = path.resolve(process.argv[2] ?? 'viewer.png');
const BYTES_MAX = 200_000;
/** The answer to the first interjection: both colours, a cut-off speech and one that is being spoken. */
const SPEECHES_BEFORE = 9;
const WORDS_SPOKEN = 12;

const [browser, server] = await Promise.all([launchBrowser(), startServer()]);
const page = await browser.newPage({ viewport: { width: 1280, height: 800 }, colorScheme: 'light' });
await page.goto(`${server.base}/?debate=5f0c1e0a-9d0b-4f62-8a57-2f6f5f1c7a31`);
await page.getByRole('button', { name: 'Play the sample here' }).click();
await until('the debate is half-way', () => page.evaluate(([speeches, words]) =>
  document.querySelectorAll('#transcript .speech:not(.open)').length >= speeches
  && (document.querySelector('.speech.open .words')?.textContent.split(' ').length ?? 0) >= words, [SPEECHES_BEFORE, WORDS_SPOKEN]), 400_000);
await page.screenshot({ path: PICTURE });
await browser.close();
await server.end();
const { size } = statSync(PICTURE);
assert.ok(size < BYTES_MAX, `${PICTURE} has ${size} bytes, too many for a README`);
console.log(`${PICTURE}: ${size} bytes`);
