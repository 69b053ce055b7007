/** What is checked in and embedded is what the sources make, and it is small. */

import assert from 'node:assert/strict';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import { gzipSync } from 'node:zlib';
import { build } from 'vite';

const ROOT = path.resolve(import.meta.dirname, '..');
const DIST = path.join(ROOT, 'dist');
const BYTES_MAX = 150 * 1024;

/** Path to content, of every file below a folder. */
function files(folder) {
  const names = readdirSync(folder, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile())
    .map((entry) => path.relative(folder, path.join(entry.parentPath, entry.name)));
  return new Map(names.sort().map((name) => [name, readFileSync(path.join(folder, name), 'utf8')]));
}

test('viewer/dist is what `npm run build` makes of viewer/src', async () => {
  const fresh = mkdtempSync(path.join(tmpdir(), 'clearside-viewer-'));
  try {
    await build({ configFile: path.join(ROOT, 'vite.config.js'), logLevel: 'error', build: { outDir: fresh, emptyOutDir: true } });
    const [built, checkedIn] = [files(fresh), files(DIST)];
    assert.deepEqual([...checkedIn.keys()], [...built.keys()]);
    for (const [name, text] of built) {
      assert.ok(checkedIn.get(name) === text, `${name} is not what the sources make: run \`npm run build\` in viewer/ and commit viewer/dist`);
    }
  } finally {
    rmSync(fresh, { recursive: true });
  }
});

test('everything that the page loads at first is at most 150 KB, compressed', () => {
  const bytes = [...files(DIST).values()].reduce((sum, text) => sum + gzipSync(text, { level: 9 }).length, 0);
  assert.ok(bytes <= BYTES_MAX, `${bytes} bytes`);
});

test('nothing in it is loaded from elsewhere, or needs what the policy forbids', () => {
  for (const [name, text] of files(DIST)) {
    if (name.endsWith('.css')) assert.doesNotMatch(text, /url\(|@import/, name);
    if (name.endsWith('.html')) assert.doesNotMatch(text, /<style|style=|https?:|<script(?![^>]* src=)/, name);
    if (name.endsWith('.js')) assert.doesNotMatch(text, /\beval\(|new Function\(|sourceMappingURL/, name);
  }
});
