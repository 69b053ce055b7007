/** The page at `/`, opened and read as a person would. */

import assert from 'node:assert/strict';

import { until } from './until.mjs';

export const PHONE = { width: 390, height: 844 };
export const DESKTOP = { width: 1280, height: 800 };
export const WIDE = { width: 1920, height: 1080 };

/**
 * Opens a page, and in the end holds against it all that its console complained of: script errors,
 * violations of the content security policy, resources that are not there.
 */
export async function openPage(t, browser, address, { viewport = DESKTOP, tolerated = /(?!)/, ...context } = {}) {
  const opened = await browser.newContext({ viewport, ...context });
  const page = await opened.newPage();
  const complaints = [];
  page.on('pageerror', (error) => complaints.push(error.stack));
  page.on('console', (message) => { if (['error', 'warning'].includes(message.type())) complaints.push(message.text()); });
  await page.goto(address);
  t.after(async () => {
    await opened.close();
    assert.deepEqual(complaints.filter((complaint) => !tolerated.test(complaint)), []);
  });
  return page;
}

export const words = (page, selector) => page.locator(selector).textContent();
export const all = (page, selector) => page.locator(selector).allTextContents();
export const statusBecomes = (page, status) => until(`the page says ${status}`, async () => await words(page, '#status') === status);
export const openWords = async (page) => (await all(page, '.speech.open .words'))[0] ?? '';

/** Waits until what is being spoken has grown, without what was there having changed. */
export async function wordsGrow(page) {
  const first = await until('somebody speaks', () => openWords(page));
  return until('the speech grows', async () => {
    const later = await openWords(page);
    return later.length > first.length && later.startsWith(first.trimEnd());
  });
}

export async function assertFits(page, what) {
  const [content, width] = await page.evaluate(() => [document.documentElement.scrollWidth, innerWidth]);
  assert.ok(content <= width, `${what} is ${content} px wide on ${width} px`);
}
