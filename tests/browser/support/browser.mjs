/** Debian's Chromium, driven by playwright-core. */

import assert from 'node:assert/strict';
import { accessSync, constants } from 'node:fs';
import path from 'node:path';

import { chromium } from 'playwright-core';

/** As root there is no sandbox to be had; the rest keeps Chromium from calling home. */
const FLAGS = [
  '--no-sandbox', '--disable-gpu', '--disable-quic', '--disable-dev-shm-usage', '--no-first-run',
  '--disable-background-networking', '--disable-component-update', '--disable-sync',
];

function executable() {
  const names = process.env.CHROMIUM ? [process.env.CHROMIUM] : ['chromium', 'chromium-browser', 'google-chrome'];
  const candidates = names.flatMap((name) => (path.isAbsolute(name) ? [name] : process.env.PATH.split(path.delimiter).map((folder) => path.join(folder, name))));
  const found = candidates.find((file) => {
    try { accessSync(file, constants.X_OK); return true; } catch { return false; }
  });
  assert.ok(found, `no Chromium found (looked for ${names.join(', ')})`);
  return found;
}

export const launchBrowser = (...flags) => chromium.launch({ executablePath: executable(), args: [...FLAGS, ...flags] });

/** One that keeps pages for the way back, as people's browsers do; Playwright has it switched off. */
export const launchWithWayBack = () => chromium.launch({ executablePath: executable(), args: FLAGS, ignoreDefaultArgs: ['--disable-back-forward-cache'] });

/**
 * Runs code as the browser's console does: at the top level of the page, in one scope with what ran before.
 */
export async function inConsole(page, code) {
  const session = await page.context().newCDPSession(page);
  const { exceptionDetails } = await session.send('Runtime.evaluate', { expression: code, replMode: true });
  await session.detach();
  assert.equal(exceptionDetails, undefined);
}

/**
 * Follows a stream with the page's own EventSource, and keeps what it saw as `page.seen`.
 *
 * An EventSource hears only the types it listens for, so they are named here.
 */
export async function followInPage(page, url, types, { withCredentials = false } = {}) {
  await page.evaluate(([url, types, withCredentials]) => {
    const source = new EventSource(url, { withCredentials });
    const seen = [];
    const losses = [];
    for (const type of types) {
      source.addEventListener(type, ({ data, lastEventId }) => {
        if (data !== undefined) seen.push({ type, data, id: lastEventId, at: Date.now() });
      });
    }
    source.addEventListener('error', ({ data }) => { if (data === undefined) losses.push(source.readyState); });
    window.followed = { source, seen, losses };
  }, [url, types, withCredentials]);
}

/** What the page's EventSource has seen. @returns {Promise<{type: string, data: string, id: string, at: number}[]>} */
export const seenInPage = (page) => page.evaluate(() => window.followed.seen);

/** 0 connecting, 1 open, 2 closed for good. */
export const readyState = (page) => page.evaluate(() => window.followed.source.readyState);
