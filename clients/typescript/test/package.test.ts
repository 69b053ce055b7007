/** What is published: its size, its form, and what its README shows. */

import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { gzipSync } from 'node:zlib';

import { build } from 'esbuild';
import { publint } from 'publint';
import { formatMessage } from 'publint/utils';
import { beforeAll, describe, expect, test } from 'vitest';

const ROOT = path.resolve(import.meta.dirname, '..');
const tsc = (...args: string[]): string => {
  try {
    return execFileSync(process.execPath, [path.join(ROOT, 'node_modules/typescript/bin/tsc'), ...args], { cwd: ROOT, encoding: 'utf8' });
  } catch (error) {
    return String((error as { stdout?: unknown }).stdout);
  }
};
const manifest = JSON.parse(readFileSync(path.join(ROOT, 'package.json'), 'utf8')) as Record<'dependencies' | 'exports', Record<string, string | { default: string; types: string }>>;

beforeAll(() => {
  rmSync(path.join(ROOT, 'dist'), { recursive: true, force: true });
  expect(tsc('-p', 'tsconfig.json')).toBe('');
}, 60_000);

/** What a page loads at once, after gzip; and the rest, which it loads when it needs it. */
async function weigh(entry: string): Promise<{ first: number; later: string[]; imports: string[] }> {
  const { outputFiles, metafile } = await build({
    entryPoints: [path.join(ROOT, 'dist', entry)], bundle: true, splitting: true, minify: true, format: 'esm', target: 'es2022', external: ['react'],
    outdir: path.join(ROOT, 'dist'), write: false, metafile: true, absWorkingDir: ROOT,
  });
  const first = new Set<string>();
  const visit = (file: string): void => {
    if (first.has(file)) return;
    first.add(file);
    for (const { path: imported, kind, external } of metafile.outputs[file]?.imports ?? []) {
      if (kind === 'import-statement' && !external) visit(imported);
    }
  };
  const start = Object.entries(metafile.outputs).find(([, { entryPoint }]) => entryPoint === `dist/${entry}`)?.[0];
  expect(start).toBeDefined();
  visit(start ?? '');
  const bytes = outputFiles.filter((file) => first.has(path.relative(ROOT, file.path)));
  expect(bytes).toHaveLength(first.size);
  return {
    first: bytes.reduce((sum, { contents }) => sum + gzipSync(contents, { level: 9 }).length, 0),
    later: Object.entries(metafile.outputs).filter(([file]) => !first.has(file)).flatMap(([, { inputs }]) => Object.keys(inputs)),
    imports: [...first].flatMap((file) => Object.keys(metafile.outputs[file]?.inputs ?? {})),
  };
}

describe('the size', () => {
  test('of the core is at most 4 KB after gzip, and of the hooks at most 2 KB more', async () => {
    const core = await weigh('index.js');
    const react = await weigh('react.js');
    process.stdout.write(`core ${core.first} bytes, with hooks ${react.first} bytes\n`);
    expect(core.first).toBeLessThanOrEqual(4_096);
    expect(react.first).toBeLessThanOrEqual(core.first + 2_048);
  });

  test('does not count what the core never loads: it has no dependency', async () => {
    const { imports, later } = await weigh('index.js');
    expect(imports.filter((file) => file.includes('node_modules'))).toEqual([]);
    expect(later.some((file) => file.includes('eventsource-parser')), 'that is loaded with the transport over fetch').toBe(true);
  });
});

test('publint finds nothing', async () => {
  const { messages, pkg } = await publint({ pkgDir: ROOT, strict: true });
  expect(messages.map((message) => formatMessage(message, pkg))).toEqual([]);
});

test('the entries that are exported are there', () => {
  const files = readdirSync(path.join(ROOT, 'dist'));
  for (const entry of Object.values(manifest.exports)) {
    if (typeof entry === 'string') continue;
    expect(files).toContain(path.basename(entry.default));
    expect(files).toContain(path.basename(entry.types));
  }
});

test('what is packed has all that it speaks of: its entries, its licences, and what its README links to', () => {
  const packed = execFileSync('npm', ['pack', '--dry-run', '--json', '--ignore-scripts'], { cwd: ROOT, encoding: 'utf8' });
  const [{ files }] = JSON.parse(packed) as [{ files: { path: string }[] }];
  const names = files.map((file) => file.path);
  expect(names).toEqual(expect.arrayContaining(['README.md', 'package.json', 'dist/index.js', 'dist/react.js', 'LICENSE-APACHE', 'LICENSE-MIT']));
  for (const name of ['LICENSE-APACHE', 'LICENSE-MIT']) {
    expect(readFileSync(path.join(ROOT, name), 'utf8'), name).toBe(readFileSync(path.join(ROOT, '../..', name), 'utf8'));
  }
  const links = [...readFileSync(path.join(ROOT, 'README.md'), 'utf8').matchAll(/\]\(([^)#]+)/g)].map(([, target = '']) => target);
  expect(links.filter((target) => !target.startsWith('https:') && !names.includes(target))).toEqual([]);
});

test('the sources and the tests type-check', () => expect(tsc('-p', 'tsconfig.test.json')).toBe(''), 60_000);

test('what the README shows type-checks', () => {
  const readme = readFileSync(path.join(ROOT, 'README.md'), 'utf8');
  const snippets = [...readme.matchAll(/^```(tsx?)\n([\s\S]*?)^```$/gm)];
  expect(snippets.length).toBeGreaterThanOrEqual(3);
  const folder = mkdtempSync(path.join(ROOT, 'dist', 'readme-'));
  for (const [number, [, kind, code]] of snippets.entries()) writeFileSync(path.join(folder, `${number}.${kind}`), code ?? '');
  writeFileSync(path.join(folder, 'tsconfig.json'), JSON.stringify({
    extends: '../../tsconfig.test.json',
    compilerOptions: {
      paths: { '@clearside/sse-client': ['../index.d.ts'], '@clearside/sse-client/react': ['../react.d.ts'] },
      rootDir: '..', noUnusedLocals: false,
    },
    include: ['*.ts', '*.tsx'], exclude: [],
  }));
  try {
    expect(tsc('-p', path.join(folder, 'tsconfig.json'))).toBe('');
  } finally {
    rmSync(folder, { recursive: true });
  }
}, 60_000);

test('the sources have no any, and print nothing', () => {
  for (const file of readdirSync(path.join(ROOT, 'src'))) {
    const code = readFileSync(path.join(ROOT, 'src', file), 'utf8').replaceAll(/\/\*[\s\S]*?\*\/|\/\/.*/g, '');
    expect(code, file).not.toMatch(/\bany\b(?!['"])|\bconsole\b/);
  }
});
