/** News is drawn at once, then no more often than somebody could see, and the last of it always. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { load } from './modules.mjs';

const { paced } = await load('stream/paced.ts');

test('the first is passed on at once, many together, and the last even if nothing follows it', (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  let at = 1_000;
  t.mock.method(performance, 'now', () => at);
  const pass = (ms) => { at += ms; t.mock.timers.tick(ms); };
  let tell;
  let stopped = 0;
  let told = 0;
  let state = 'before';
  const { subscribe, getSnapshot } = paced({ subscribe: (changed) => { tell = changed; state = 'begun'; return () => { stopped += 1; }; }, getSnapshot: () => state }, 50);
  assert.equal(getSnapshot(), 'before');
  const stop = subscribe(() => { told += 1; });
  assert.equal(getSnapshot(), 'begun');
  state = 'first';
  tell();
  assert.deepEqual([told, getSnapshot()], [1, 'first'], 'at once');
  state = 'more';
  for (let frame = 0; frame < 3; frame += 1) { pass(16); tell(); }
  assert.deepEqual([told, getSnapshot()], [1, 'first'], 'not yet, whoever looks');
  pass(16);
  tell();
  assert.deepEqual([told, getSnapshot()], [2, 'more'], 'with the frame that was due');
  pass(200);
  assert.equal(told, 2, 'and not once more');
  tell();
  pass(10);
  tell();
  assert.equal(told, 3);
  pass(100);
  assert.equal(told, 4, 'nothing followed');
  tell();
  tell();
  stop();
  pass(1_000);
  assert.deepEqual([told, stopped], [4, 1]);
});
