/** What the operator is told of how long publishes take, from counts by powers of two. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { load } from './modules.mjs';

const { timeOf } = await load('operator/useStats.ts');

test('a part of all publishes took less than the power of two that holds the last of them', () => {
  const counts = { 1: 98, 16: 1, 2: 0, 4096: 1 };
  for (const [part, expected] of [[.5, 1], [.98, 1], [.985, 16], [.99, 16], [.995, 4096], [1, 4096]]) {
    assert.equal(timeOf(part, counts), expected, `${part} of all`);
  }
  assert.equal(timeOf(1, { 8: 1, 32: 0 }), 8, 'what has not happened is not the slowest');
  assert.equal(timeOf(.5, {}), null);
});
