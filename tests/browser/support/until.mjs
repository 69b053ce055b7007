/** Waiting for conditions, never for time to pass. */

import { setTimeout as pause } from 'node:timers/promises';

/** Generous: a deadline is there to end a hopeless test, not to measure. */
const DEADLINE_MS = 30_000;
const POLL_MS = 25;

/**
 * Asks until the answer is truthy, and gives it back.
 *
 * @template T
 * @param {string} what  named in the error, should it never come true
 * @param {() => T | Promise<T>} probe  a throw counts as "not yet"
 * @returns {Promise<T>}
 */
export async function until(what, probe, deadlineMs = DEADLINE_MS) {
  const end = performance.now() + deadlineMs;
  let last;
  do {
    try {
      last = await probe();
      if (last) return last;
    } catch (error) { last = error; }
    await pause(POLL_MS);
  } while (performance.now() < end);
  throw new Error(`not within ${deadlineMs} ms: ${what} (last answer: ${last?.stack ?? JSON.stringify(last)})`);
}

/** Lets time pass where that is the claim: that for so long nothing happens. */
export const quietFor = (ms) => pause(ms);
