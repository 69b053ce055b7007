/** What the documents show, done as they show it. */

import assert from 'node:assert/strict';
import { execFile, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readdirSync } from 'node:fs';
import http from 'node:http';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { promisify } from 'node:util';

import { inConsole, launchBrowser } from './support/browser.mjs';
import { ROOT, blocks, read } from './support/documents.mjs';
import { complete, phase, utterance } from './support/events.mjs';
import { startServer } from './support/server.mjs';
import { until } from './support/until.mjs';

const README_BASE = 'http://127.0.0.1:3000';

let browser;
let server;
before(async () => { [browser, server] = await Promise.all([launchBrowser(), startServer()]); });
after(async () => {
  await browser?.close();
  await server?.end();
});

test('every link in the documents leads somewhere', () => {
  const documents = execFileSync('git', ['ls-files', '--cached', '--others', '--exclude-standard', '*.md'], { cwd: ROOT, encoding: 'utf8' }).trim().split('\n');
  const slug = (heading) => heading.toLowerCase().replace(/[^\p{L}\p{N} _-]/gu, '').replaceAll(' ', '-');
  const headings = (file) => [...read(file).replace(/^```[\s\S]*?^```$/gm, '').matchAll(/^#+ (.+)$/gm)].map(([, heading]) => slug(heading));
  const broken = [];
  for (const document of documents.filter((file) => existsSync(path.join(ROOT, file)))) {
    const prose = read(document).replace(/^```[\s\S]*?^```$/gm, '').replace(/`[^`\n]*`/g, '');
    for (const [, link] of prose.matchAll(/\]\(([^)\s]+)\)/g)) {
      if (/^[a-z]+:/.test(link)) continue;
      const [file, fragment] = link.split('#');
      const target = file === '' ? document : path.join(path.dirname(document), file);
      if (!existsSync(path.join(ROOT, target))) broken.push(`${document}: ${link}`);
      else if (fragment && target.endsWith('.md') && !headings(target).includes(fragment)) broken.push(`${document}: ${link}`);
    }
  }
  assert.deepEqual(broken, []);
});

test('README: the curl that follows shows what the curl that publishes sent', async (t) => {
  const [follow, publish] = blocks(read('README.md'), 'sh').filter((code) => code.startsWith('curl')).map((code) => code.replaceAll(README_BASE, server.base));
  const [shown] = blocks(read('README.md'), 'text').filter((code) => code.startsWith('event: '));
  const terminal = spawn('bash', ['-c', `exec ${follow}`], { stdio: ['ignore', 'pipe', 'ignore'] });
  t.after(() => terminal.kill());
  let printed = '';
  terminal.stdout.on('data', (data) => { printed += data; });
  await server.followers('debates', 1);
  const { stdout } = await promisify(execFile)('bash', ['-c', publish]);

  const [id] = JSON.parse(stdout).ids;
  const expected = shown.replace(/^id: .*$/m, `id: ${id}`);
  await until('the first terminal shows it', () => printed.includes('event: utterance') && printed.endsWith('\n\n'));
  assert.ok(printed.includes(expected), `${printed}\ndoes not show\n${expected}`);
});

test('README: the browser code hears a debate, its tokens, its own error event and its end', async () => {
  const [code] = blocks(read('README.md'), 'js').filter((block) => block.includes('new EventSource'));
  const [, debate] = /\/api\/debates\/([^/]+)\/stream/.exec(code);
  const id = 'readme';
  await server.publish('debate', id, phase('Opening Statements'), utterance(1));
  await server.say('debate', id, { type: 'token', data: { speaker: 'Con Advocate', token: 'Well, ' } });
  const page = await (await browser.newContext()).newPage();
  await page.goto(`${server.base}/`);
  const printed = [];
  page.on('console', (message) => printed.push(message.text()));
  await inConsole(page, code.replace(`/${debate}/`, `/${id}/`));

  await until('it has caught up', () => page.evaluate('speaking["Con Advocate"] === "Well, "'));
  await server.say('debate', id, { type: 'token', data: { speaker: 'Con Advocate', token: 'no.' } });
  await until('it hears tokens', () => page.evaluate('speaking["Con Advocate"] === "Well, no."'));
  await server.publish('debate', id, utterance(2), { type: 'error', data: { message: 'overloaded' } }, complete);
  await until('it has closed', () => page.evaluate('source.readyState === 2'));
  assert.deepEqual(printed.slice(0, 3), ['== Opening Statements ==', 'Pro Advocate: speech 1', 'Con Advocate: speech 2']);
  assert.match(printed[3], /^the debate says .*overloaded/);
  assert.equal(printed.length, 4);
  assert.equal(await page.evaluate('Object.keys(speaking).length'), 0, 'the utterance ended the tokens');
  await page.context().close();
});

test('examples/follow.html, on an origin of its own, shows a debate and lives through a restart', async (t) => {
  const pages = http.createServer((_, response) => response.setHeader('Content-Type', 'text/html').end(read('examples/follow.html')));
  pages.listen(0, '127.0.0.1');
  await once(pages, 'listening');
  t.after(() => { pages.closeAllConnections(); pages.close(); });
  const origin = `http://127.0.0.1:${pages.address().port}`;
  const args = ['--retry', '300ms', '--cors-origin', origin];
  let own = await startServer({ args });
  t.after(() => own.end());
  await own.publish('debate', 'd', { type: 'debate_started', data: { title: 'Cars in town' } }, phase('Opening'), utterance(1));
  await own.say('debate', 'd', { type: 'token', data: { speaker: 'Con Advocate', token: 'Half a' } });

  const page = await (await browser.newContext()).newPage();
  await page.goto(`${origin}/follow.html?server=${own.base}&debate=d`);
  const shows = (...lines) => until(`it shows ${lines}`, async () => {
    const text = await page.locator('body').innerText();
    return lines.every((line) => text.includes(line));
  });
  await shows('Cars in town', 'live', 'Opening', 'Pro Advocate: speech 1', 'Con Advocate: Half a …');
  await own.end('SIGKILL');
  await shows('reconnecting');
  own = await startServer({ args, port: own.port, database: own.database });
  await own.publish('debate', 'd', utterance(2), complete);
  await shows('completed');
  assert.deepEqual(await page.locator('#transcript p').allTextContents(), ['Pro Advocate: speech 1', 'Con Advocate: speech 2']);
  assert.equal(await page.locator('#open p').count(), 0);
  await page.context().close();
});

test('every test that docs/specifications.md names exists', () => {
  const rows = read('docs/specifications.md')
    .split('\n')
    .filter((line) => line.startsWith('| ') && !line.startsWith('| line'));
  const named = rows.flatMap((row) => [...row.split(' | ').at(-1).matchAll(/`([^`]+)`/g)].map(([, name]) => name));
  assert.ok(named.length > 30, `${named.length}`);
  const sources = ['tests', 'src'].flatMap((folder) => {
    const files = readdirSync(path.join(ROOT, folder), { recursive: true });
    return files
      .filter((file) => !file.includes('node_modules') && /\.(rs|mjs)$/.test(file))
      .map((file) => read(path.join(folder, file)));
  });
  for (const name of named) {
    const definition = /^[a-z0-9_]+$/.test(name) ? `fn ${name}(` : `test('${name}'`;
    assert.ok(sources.some((source) => source.includes(definition)), name);
  }
});
