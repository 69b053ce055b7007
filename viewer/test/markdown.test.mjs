/** Speeches are shown as light Markdown, and are never more than text. */

import assert from 'node:assert/strict';
import { createElement } from 'react';
import { renderToStaticMarkup } from 'react-dom/server';
import { test } from 'node:test';
import { load } from './modules.mjs';

const { Markdown, plainText } = await load('markdown.tsx');
const html = (source, growing = false) => renderToStaticMarkup(createElement(Markdown, { source, growing })).replaceAll(' dir="auto"', '');

const CASES = [
  ['paragraphs and the line breaks that agents mean', 'one\ntwo\n\nthree', '<p>one<br/>two</p><p>three</p>'],
  ['emphasis, nested and of both kinds', '*a* **b _c_** ***d***', '<p><em>a</em> <strong>b <em>c</em></strong> <strong><em>d</em></strong></p>'],
  ['marks that close nothing are text', '2 * 3 * 4 and **open', '<p>2 * 3 * 4 and **open</p>'],
  ['snake_case is a word', 'call some_function_name now', '<p>call some_function_name now</p>'],
  ['headings, of one level within a speech', '# A\n### B\ntext', '<h4 data-level="1">A</h4><h4 data-level="3">B</h4><p>text</p>'],
  ['lists within lists', '- a\n  1. b\n  2. c\n- d', '<ul><li>a<ol start="1"><li>b</li><li>c</li></ol></li><li>d</li></ul>'],
  ['an inner list that goes on after its own inner list', '- a\n  - b\n    - c\n  - d', '<ul><li>a<ul><li>b<ul><li>c</li></ul></li><li>d</li></ul></li></ul>'],
  ['a list stays whole across blank lines', '1. a\n\n2. b', '<ol start="1"><li>a</li><li>b</li></ol>'],
  ['a list that begins late', '3. c', '<ol start="3"><li>c</li></ol>'],
  ['quotes', '> said\n> so', '<blockquote>said<br/>so</blockquote>'],
  ['rules', 'a\n\n---\n\nb', '<p>a</p><hr/><p>b</p>'],
  ['code in a line', 'use `**this**` so', '<p>use <code>**this**</code> so</p>'],
  ['fenced code, blank lines and marks in it kept', '```js\nlet *a*;\n\nb\n```\nafter', '<pre><code>let *a*;\n\nb</code></pre><p>after</p>'],
  ['HTML is text', '<img src=x onerror=alert(1)>', '<p>&lt;img src=x onerror=alert(1)&gt;</p>'],
  ['links and images are the text they are', '[x](javascript:alert(1)) ![y](https://z)', '<p>[x](javascript:alert(1)) ![y](https://z)</p>'],
  ['nothing at all', '', ''],
];
for (const [name, source, expected] of CASES) test(name, () => assert.equal(html(source), expected));

test('bold that is still being spoken is bold already, and a fence that is still open is code', () => {
  assert.equal(html('a **bo', true), '<p>a <strong>bo</strong></p>');
  assert.equal(html('```\nlet a', true), '<pre><code>let a</code></pre>');
});

test('a voice reads the words, not their marks', () => {
  assert.equal(plainText('# A\n\n- **b**\n- `c`\n\n---\n> *d*\ne'), 'A b c d e');
});

test('no text, however odd, costs more than its length', () => {
  for (const source of ['*'.repeat(60_000), '_a'.repeat(30_000), '- '.repeat(30_000), '> '.repeat(30_000), '`'.repeat(60_000), '**a '.repeat(15_000), ' '.repeat(60_000), 'W'.repeat(60_000)]) {
    const started = performance.now();
    html(source, true);
    assert.ok(performance.now() - started < 5_000, `${source.slice(0, 8)}… took ${performance.now() - started} ms`);
  }
});
