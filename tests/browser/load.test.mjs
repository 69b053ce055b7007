/** Many clients at once: "50+ concurrent clients per debate", and the Artillery command of INFRA-003. */

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { after, before, test } from 'node:test';

import { EventSource } from 'eventsource';

import { complete, numbers, utterance } from './support/events.mjs';
import { startServer, temporaryFolder } from './support/server.mjs';
import { until } from './support/until.mjs';

/** The specification says 60 seconds; `scripts/test.sh --full` has it so. */
const ARTILLERY_SECONDS = Number(process.env.ARTILLERY_SECONDS ?? 5);
const ARTILLERY_RATE = 10;

let server;
before(async () => { server = await startServer({ args: ['--heartbeat', '1h'] }); });
after(() => server?.end());

test('60 npm EventSources follow one debate: every utterance to each, once, in order, in time', async (t) => {
  const followers = numbers(1, 60).map(() => {
    const source = new EventSource(server.url('debate', 'crowded'));
    const seen = [];
    source.addEventListener('utterance', ({ data }) => seen.push({ ...JSON.parse(data), at: Date.now() }));
    return { source, seen };
  });
  t.after(() => followers.forEach(({ source }) => source.close()));
  await server.followers('debates', 60);
  for (const number of numbers(1, 50)) await server.publish('debate', 'crowded', utterance(number));

  await until('everybody has the last one', () => followers.every(({ seen }) => seen.length >= 50));
  for (const { seen } of followers) assert.deepEqual(seen.map(({ id }) => Number(id)), numbers(1, 50));
  const latencies = followers.flatMap(({ seen }) => seen.map(({ at, timestamp }) => at - timestamp)).sort((a, b) => a - b);
  const at = (part) => latencies[Math.floor(latencies.length * part)];
  t.diagnostic(`3,000 deliveries, from before the publish to the handler: median ${at(0.5)} ms, p99 ${at(0.99)} ms`);
  assert.ok(at(0.5) < 500);

  followers.forEach(({ source }) => source.close());
  await server.followers('debates', 0);
});

test('load testing: artillery quick --duration … --rate 10 …/api/debates/test-id/stream', async () => {
  const report = path.join(temporaryFolder(), 'artillery.json');
  // Version 1: the last one whose `quick` takes --duration and --rate, as the specification writes it.
  const artillery = spawn(path.join(import.meta.dirname, 'node_modules', '.bin', 'artillery'), [
    'quick', '--duration', `${ARTILLERY_SECONDS}`, '--rate', `${ARTILLERY_RATE}`, '--output', report,
    `${server.base}/api/debates/test-id/stream`,
  ], { stdio: ['ignore', 'pipe', 'pipe'], env: { ...process.env, ARTILLERY_DISABLE_TELEMETRY: 'true' } });
  let printed = '';
  for (const stream of [artillery.stdout, artillery.stderr]) stream.on('data', (data) => { printed += data; });
  const exit = new Promise((resolve) => artillery.once('close', resolve));

  // A stream does not end by itself, so Artillery would call each one timed out after 10 seconds. Where
  // the run is shorter than that, the debate ends once all its followers are there.
  const fitsOneDebate = ARTILLERY_SECONDS < 10;
  const together = fitsOneDebate ? ARTILLERY_SECONDS * ARTILLERY_RATE : ARTILLERY_RATE * 5;
  await until(`${together} follow at once`, async () => (await server.stats()).debates.clients >= together);
  await server.publish('debate', 'test-id', utterance(1));
  if (fitsOneDebate) await server.publish('debate', 'test-id', complete);
  assert.equal(await exit, 0, printed);

  const { aggregate } = JSON.parse(readFileSync(report, 'utf8'));
  const users = ARTILLERY_SECONDS * ARTILLERY_RATE;
  assert.deepEqual(aggregate.codes, { 200: users }, printed);
  assert.deepEqual(aggregate.errors, fitsOneDebate ? {} : { ETIMEDOUT: users }, printed);
  await server.followers('debates', 0);
  assert.equal((await fetch(`${server.base}/health/ready`)).status, 200);
});
