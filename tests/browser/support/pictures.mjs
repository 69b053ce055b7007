/**
 * Compares a picture of the page with a kept one.
 *
 * Both are made smaller first, by so much that how a machine draws its letters does not count, but where
 * they stand does. `CLEARSIDE_KEEP_PICTURES=1` keeps what is seen, for somebody to look at and commit;
 * `CLEARSIDE_PICTURES=<folder>` leaves every picture there as it was seen, and what differs from a kept one.
 */

import assert from 'node:assert/strict';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';

import pixelmatch from 'pixelmatch';
import { PNG } from 'pngjs';

const KEPT = path.join(import.meta.dirname, '../pictures');
const KEEP = process.env.CLEARSIDE_KEEP_PICTURES === '1';
const FOLDER = process.env.CLEARSIDE_PICTURES;

const SMALLER = 5;
const COLOUR_TOLERANCE = 0.12;
const PIXELS_TOLERANCE = 0.02;

/** Averages squares of pixels into one. @param {PNG} picture */
function shrink({ width, height, data }) {
  const small = new PNG({ width: Math.floor(width / SMALLER), height: Math.floor(height / SMALLER) });
  for (let y = 0; y < small.height; y += 1) {
    for (let x = 0; x < small.width; x += 1) {
      for (let channel = 0; channel < 4; channel += 1) {
        let sum = 0;
        for (let dy = 0; dy < SMALLER; dy += 1) {
          for (let dx = 0; dx < SMALLER; dx += 1) sum += data[4 * ((y * SMALLER + dy) * width + x * SMALLER + dx) + channel];
        }
        small.data[4 * (y * small.width + x) + channel] = Math.round(sum / SMALLER ** 2);
      }
    }
  }
  return small;
}

function leave(name, picture) {
  if (!FOLDER) return;
  mkdirSync(FOLDER, { recursive: true });
  writeFileSync(path.join(FOLDER, name), picture);
}

/** @param {string} name @param {Buffer} screenshot */
export function assertLooksAsKept(name, screenshot) {
  leave(`${name}.png`, screenshot);
  const seen = shrink(PNG.sync.read(screenshot));
  const file = path.join(KEPT, `${name}.png`);
  if (KEEP) {
    mkdirSync(KEPT, { recursive: true });
    writeFileSync(file, PNG.sync.write(seen, { colorType: 2, deflateLevel: 9 }));
    return;
  }
  assert.ok(existsSync(file), `${file} is missing: look at the page, and keep its pictures with CLEARSIDE_KEEP_PICTURES=1`);
  const kept = PNG.sync.read(readFileSync(file));
  assert.deepEqual([seen.width, seen.height], [kept.width, kept.height]);
  const difference = new PNG({ width: seen.width, height: seen.height });
  const pixels = pixelmatch(kept.data, seen.data, difference.data, seen.width, seen.height, { threshold: COLOUR_TOLERANCE, includeAA: true });
  const part = pixels / (seen.width * seen.height);
  if (part > PIXELS_TOLERANCE) {
    for (const [what, picture] of Object.entries({ seen, kept, difference })) leave(`${name}.${what}.png`, PNG.sync.write(picture));
  }
  assert.ok(part <= PIXELS_TOLERANCE, `${name}: ${(part * 100).toFixed(1)} % of the picture differs from the kept one (CLEARSIDE_PICTURES=<folder> leaves both there)`);
}
