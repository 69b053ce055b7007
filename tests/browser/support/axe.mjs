/** Whether people with a screen reader, a keyboard or weak eyes can use the page, as far as a program can tell. */

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';

const AXE = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');

/** Run over the debugger's protocol, which the page's policy does not bind. */
async function evaluate(session, expression) {
  const { result, exceptionDetails } = await session.send('Runtime.evaluate', { expression, awaitPromise: true, returnByValue: true });
  assert.equal(exceptionDetails, undefined, JSON.stringify(exceptionDetails));
  return result.value;
}

/** @param {import('playwright-core').Page} page */
export async function assertAccessible(page, what) {
  const session = await page.context().newCDPSession(page);
  await evaluate(session, `${AXE};undefined`);
  const violations = await evaluate(session, `axe.run(document, { resultTypes: ['violations'] }).then(({ violations }) =>
    violations.map(({ id, help, nodes }) => id + ': ' + help + '\\n' + nodes.slice(0, 5).map(({ html, failureSummary }) => '  ' + html.slice(0, 160) + '\\n  ' + failureSummary).join('\\n')))`);
  await session.detach();
  assert.deepEqual(violations, [], `${what}:\n${violations.join('\n')}`);
}
