/** nginx with a configuration that docs/reverse-proxy.md shows. */

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, writeFileSync } from 'node:fs';
import net from 'node:net';
import path from 'node:path';

import { blocks, read } from './documents.mjs';
import { temporaryFolder } from './server.mjs';
import { until } from './until.mjs';

async function freePort() {
  const listener = net.createServer().listen(0, '127.0.0.1');
  await once(listener, 'listening');
  const { port } = listener.address();
  listener.close();
  await once(listener, 'close');
  return port;
}

/** The one that is recommended, and the least that nginx can do with. */
const SITES = { recommended: 0, defaults: -1 };

/** @param {number} upstream  the port of the server behind it @param {keyof typeof SITES} site */
export async function startNginx(upstream, site = 'recommended') {
  const port = await freePort();
  let shown = blocks(read('docs/reverse-proxy.md'), 'nginx').at(SITES[site]);
  for (const [from, to] of [['127.0.0.1:3000;', `127.0.0.1:${upstream};`], ['listen 8080;', `listen 127.0.0.1:${port};`]]) {
    assert.ok(shown.includes(from), `docs/reverse-proxy.md has no more "${from}"`);
    shown = shown.replace(from, to);
  }
  const folder = temporaryFolder();
  const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map((name) => {
    mkdirSync(path.join(folder, name));
    return `${name}_temp_path ${path.join(folder, name)};`;
  });
  const file = path.join(folder, 'nginx.conf');
  writeFileSync(file, `
daemon off;
master_process off;
pid ${folder}/pid;
error_log stderr;
events {}
http {
access_log off;
${temporary.join('\n')}
${shown}
}`);
  const child = spawn('nginx', ['-p', folder, '-e', 'stderr', '-c', file], {
    stdio: ['ignore', 'ignore', 'pipe'],
    env: { ...process.env, PATH: `${process.env.PATH}${path.delimiter}/usr/sbin` },
  });
  const ended = once(child, 'exit');
  const kill = () => child.kill('SIGKILL');
  process.on('exit', kill);
  let log = '';
  child.stderr.on('data', (data) => { log += data; });
  const base = `http://127.0.0.1:${port}`;
  await until('nginx answers', async () => {
    if (child.exitCode !== null) throw new Error(log);
    return (await fetch(`${base}/health/live`)).ok;
  });
  return {
    base,
    async end() {
      child.kill('SIGTERM');
      await ended;
      process.off('exit', kill);
    },
  };
}
