/**
 * How the page draws while 10,000 tokens come each second for ten seconds: how many frames are late, beside a page
 * on which nothing happens, by turns, in one browser. Medians in the end.
 *
 * `node frames.mjs [runs]`. Not a test: on a machine that has other work, it is that work which is measured.
 */

import { launchBrowser } from './support/browser.mjs';
import { beginFed, feedPage, PARAGRAPH, PROSE } from './support/fed.mjs';
import { startServer } from './support/server.mjs';

const RUNS = Number(process.argv[2] ?? 5);
const SECONDS = 10;
const PER_MS = 10;
const LATE_MS = 25;

const browser = await launchBrowser();
const server = await startServer();

/** @param {(page) => Promise<void>} act */
async function measure(address, prepare, act) {
  const page = await (await browser.newContext({ viewport: { width: 1280, height: 800 }, bypassCSP: true })).newPage();
  await prepare(page);
  await page.goto(server.base + address);
  if (prepare === feedPage) await beginFed(page);
  const session = await page.context().newCDPSession(page);
  await session.send('Performance.enable');
  const worked = async () => (await session.send('Performance.getMetrics')).metrics.find(({ name }) => name === 'TaskDuration').value;
  const before = await worked();
  await page.evaluate(() => {
    const gaps = [];
    let last = performance.now();
    let isOn = true;
    requestAnimationFrame(function frame(now) {
      gaps.push(now - last);
      last = now;
      if (isOn) requestAnimationFrame(frame);
    });
    window.stopFrames = () => { isOn = false; return gaps; };
  });
  await act(page);
  const gaps = await page.evaluate(() => window.stopFrames());
  const perFrame = (await worked() - before) * 1_000 / gaps.length;
  await page.context().close();
  return { late: gaps.filter((gap) => gap > LATE_MS).length / gaps.length, longest: Math.max(...gaps), perFrame };
}

const speak = (tokens) => (page) => page.evaluate(([perMs, ms, tokens]) => window.speak(perMs, ms, tokens), [PER_MS, SECONDS * 1_000, tokens]);
const CASES = {
  'nothing happens': ['/health/live', async () => {}, (page) => page.waitForTimeout(SECONDS * 1_000)],
  'paragraphs of eighty words': ['/?debate=d', feedPage, speak(PROSE)],
  'one paragraph': ['/?debate=d', feedPage, speak(PARAGRAPH)],
};
const seen = Object.fromEntries(Object.keys(CASES).map((name) => [name, []]));
for (let run = 0; run < RUNS; run += 1) {
  for (const [name, how] of Object.entries(CASES)) {
    const result = await measure(...how);
    seen[name].push(result);
    print(`${run + 1}  ${name}`, result);
  }
}
await browser.close();
await server.end();

const median = (values) => values.sort((a, b) => a - b)[Math.floor(values.length / 2)];
for (const [name, results] of Object.entries(seen)) {
  print(`=  ${name}`, Object.fromEntries(['late', 'longest', 'perFrame'].map((key) => [key, median(results.map((result) => result[key]))])));
}

function print(name, { late, longest, perFrame }) {
  console.log(`${name.padEnd(32)} late ${(100 * late).toFixed(1).padStart(5)} %   longest ${Math.round(longest).toString().padStart(4)} ms   main thread ${perFrame.toFixed(1).padStart(5)} ms a frame`);
}
