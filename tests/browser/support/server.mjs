/** The built binary, run as an operator runs it: its own port, its own database, signals. */

import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';

import { until } from './until.mjs';

const ROOT = path.resolve(import.meta.dirname, '../../..');
const TARGET = process.env.CARGO_TARGET_DIR ?? path.join(ROOT, 'target');
export const BINARY = process.env.CLEARSIDE_BIN ?? path.join(TARGET, 'debug', 'clearside-sse');

export const PATHS = { debate: '/api/debates', conversation: '/api/conversations/sessions' };

const running = new Set();
process.on('exit', () => { for (const child of running) child.kill('SIGKILL'); });

const folders = [];
process.on('exit', () => { for (const folder of folders) rmSync(folder, { recursive: true, force: true }); });

/** A folder for one test file, gone when it ends. */
export function temporaryFolder() {
  const folder = mkdtempSync(path.join(tmpdir(), 'clearside-browser-'));
  folders.push(folder);
  return folder;
}

/** A token of Ada Lovelace's, made by the command. */
export function makeToken(secret, ...grants) {
  const made = spawnSync(BINARY, ['token', 'create', '--jwt-secret-file', secret, '--subject', 'Ada Lovelace', ...grants], { encoding: 'utf8' });
  assert.equal(made.status, 0, made.stderr);
  return made.stdout.trim();
}

/**
 * Starts a server and waits until it says where it listens.
 *
 * @param {{args?: string[], port?: number, database?: string}} [options]  a port and a database of an
 *   earlier server make this one its successor
 */
export async function startServer({ args = [], port = 0, database = path.join(temporaryFolder(), 'history.db') } = {}) {
  assert.ok(existsSync(BINARY), `${BINARY} is missing: build it first, or name another in CLEARSIDE_BIN`);
  const child = spawn(BINARY, ['serve', '--listen', `127.0.0.1:${port}`, '--database', `sqlite://${database}`, ...args], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, CLEARSIDE_LOG_FORMAT: 'json', RUST_LOG: 'info' },
  });
  running.add(child);
  let [out, log] = ['', ''];
  child.stdout.on('data', (data) => { out += data; });
  child.stderr.on('data', (data) => { log += data; });
  const exited = once(child, 'exit').then(([code, signal]) => {
    running.delete(child);
    return { code, signal };
  });
  const base = await until('the server says where it listens', () => {
    if (child.exitCode !== null) throw new Error(`it ended: ${log}`);
    return /^listening on (http:\/\/\S+)$/m.exec(out)?.[1];
  });
  return new Server({ child, exited, base, database, readLog: () => log });
}

class Server {
  constructor(parts) {
    Object.assign(this, parts);
    this.port = Number(new URL(this.base).port);
  }

  /** The address of a stream, or of what lies under it. */
  url(kind, id, rest = 'stream') {
    return `${this.base}${PATHS[kind]}/${id}${rest && `/${rest}`}`;
  }

  /** Publishes durably. @returns {Promise<string[]>} the ids */
  async publish(kind, id, ...events) {
    const response = await post(this.url(kind, id, 'events'), events);
    assert.equal(response.status, 201, await response.clone().text());
    return (await response.json()).ids;
  }

  /** Publishes what is not stored: tokens. */
  async say(kind, id, ...events) {
    const response = await post(this.url(kind, id, 'events'), events);
    assert.equal(response.status, 202, await response.clone().text());
  }

  async steer(kind, id, verb, body) {
    const response = await post(this.url(kind, id, verb), body);
    assert.equal(response.status, 202, await response.clone().text());
  }

  /** Everything stored of a stream, in order. */
  async history(kind, id) {
    const all = [];
    for (;;) {
      const after = all.length === 0 ? '' : `&after=${all.at(-1).id}`;
      const response = await ask(`${this.url(kind, id, 'events')}?limit=100${after}`);
      assert.equal(response.status, 200, await response.clone().text());
      const { events } = await response.json();
      if (events.length === 0) return all;
      all.push(...events);
    }
  }

  async stats() {
    return (await ask(`${this.base}/api/stats`)).json();
  }

  /** Waits until so many follow. @param {'debates' | 'conversations'} kinds */
  async followers(kinds, count, deadlineMs) {
    await until(`${count} follow ${kinds}`, async () => (await this.stats())[kinds].clients === count, deadlineMs);
  }

  /** Log lines with this message. */
  logged(message) {
    return this.readLog().split('\n').filter((line) => line.startsWith('{')).map((line) => JSON.parse(line))
      .filter(({ msg }) => msg === message);
  }

  /** Sends a signal and waits for the end. */
  async end(signal = 'SIGTERM') {
    this.child.kill(signal);
    const ended = await this.exited;
    assert.doesNotMatch(this.readLog(), /panicked/);
    return ended;
  }
}

/** No answer at all must not hang a test. */
const ask = (url, options) => fetch(url, { ...options, signal: AbortSignal.timeout(20_000) });

function post(url, body) {
  if (body === undefined) return ask(url, { method: 'POST' });
  return ask(url, { method: 'POST', headers: { 'Content-Type': 'application/json' }, body: JSON.stringify(body) });
}
