/**
 * The React hook of INFRA-003 in a React page that follows the real server. `spec/useDebateStream.ts` is the
 * specification's text; only the `)` too many after `onerror` is left out.
 */

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';

import { launchBrowser } from './support/browser.mjs';
import { bundle } from './support/bundle.mjs';
import { ROOT } from './support/documents.mjs';
import { complete, numbers, phase, utterance } from './support/events.mjs';
import { startServer } from './support/server.mjs';
import { until } from './support/until.mjs';

const PAGE = `
import { StrictMode } from 'react';
import { createRoot } from 'react-dom/client';
import { useDebateStream } from '${ROOT}/tests/browser/spec/useDebateStream';

function Debate({ id }: { id: string }) {
  window.hook = useDebateStream(id);
  return null;
}
export const mount = (id: string) => createRoot(document.body.appendChild(document.createElement('div'))).render(<StrictMode><Debate id={id} /></StrictMode>);
`;

let browser;
let script;
before(async () => { [browser, script] = await Promise.all([launchBrowser(), bundle(PAGE)]); });
after(() => browser?.close());

test('it connects, receives, says that it reconnects, and stops at the end', async (t) => {
  let server = await startServer({ args: ['--retry', '300ms', '--heartbeat', '1h'] });
  t.after(() => server.end());
  const page = await (await browser.newContext({ bypassCSP: true })).newPage();
  const requests = [];
  page.on('request', (request) => { if (request.url().includes('/stream')) requests.push(request.url()); });
  await page.goto(`${server.base}/health/live`);
  await page.addScriptTag({ content: script });
  await page.evaluate(() => window.bundle.mount('specified'));
  const hook = () => page.evaluate(() => window.hook);
  const contents = async () => (await hook()).utterances.map(({ id }) => Number(id));

  await until('it is connected', async () => (await hook()).isConnected);
  await server.followers('debates', 1); // StrictMode's first mount is gone
  await server.publish('debate', 'specified', phase('Opening'), ...numbers(1, 3).map((number) => utterance(number)));
  await until('it has three utterances', async () => (await contents()).length === 3);
  assert.equal((await hook()).currentPhase, 'Opening');
  assert.equal((await hook()).error, null);

  await server.end('SIGKILL');
  await until('it says so', async () => (await hook()).error === 'Connection lost. Reconnecting...');
  assert.equal((await hook()).isConnected, false);
  server = await startServer({ args: ['--retry', '300ms', '--heartbeat', '1h'], port: server.port, database: server.database });
  await until('it is connected again', async () => (await hook()).isConnected);
  await server.publish('debate', 'specified', utterance(4), phase('Rebuttals'), complete);
  await until('it has all', async () => (await contents()).length === 4);
  assert.deepEqual(await contents(), numbers(1, 4), 'each once, and in order');
  await until('its phase has followed', async () => (await hook()).currentPhase === 'Rebuttals');

  await server.followers('debates', 0);
  const asked = requests.length;
  await until('another page has been answered since', async () => (await fetch(`${server.base}/health/live`)).ok);
  assert.equal(requests.length, asked, 'it closed, and does not even ask once more');
  await page.context().close();
});
