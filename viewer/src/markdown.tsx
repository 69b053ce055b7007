/**
 * The light Markdown that agents speak: headings, lists, rules, quotes, code and emphasis.
 *
 * Makes React elements of fixed names out of text, so no speech can become markup. Anything not
 * understood stays the text it was: links, images and HTML are shown as they were written.
 */

import { memo, useMemo, type ReactNode } from 'react';

const RULE = /^ {0,3}([-*_])[ \t]*(?:\1[ \t]*){2,}$/;
const HEADING = /^ {0,3}(#{1,6})[ \t]+(.*)$/;
const ITEM = /^([ \t]*)(?:[-*+]|(\d{1,3})[.)])[ \t]+(.*)$/;
const QUOTE = /^ {0,3}> ?(.*)$/;
const FENCE = /^ {0,3}(`{3,}|~{3,})/;
const MARKS = /(`[^`\n]+`|\*+|_+|\n)/;
const CODE = /^`[^`\n]+`$/;
const EMPHASIS = /^(?:\*{1,3}|_{1,2})$/;
const DEEPEST = 6;

/**
 * Shows a speech. While it grows only its last block changes, so that a reader's selection further up
 * survives, and bold that is still being spoken is closed instead of showing its stars.
 */
export const Markdown = memo(function Markdown({ source, growing = false }: { source: string; growing?: boolean }) {
  const blocks = useMemo(() => splitBlocks(source), [source]);
  return blocks.map((block, index) => <Block key={index} source={block} growing={growing && index === blocks.length - 1} />);
});

/** The words without their marks, for a voice to read out. */
export function plainText(source: string): string {
  return splitBlocks(source).map(plainBlock).join(' ').replace(/\s+/g, ' ').trim();
}

/** Cuts at blank lines, and round headings, rules and fences; a list stays whole across the blank lines in it. */
export function splitBlocks(source: string): string[] {
  const blocks: string[] = [];
  let lines: string[] = [];
  let blank = false;
  let fence: string | null = null;
  const flush = () => {
    if (lines.length > 0) blocks.push(lines.join('\n'));
    lines = [];
  };
  for (const line of source.split(/\r\n?|\n/)) {
    if (fence !== null) {
      lines.push(line);
      if (line.trim().startsWith(fence) && line.trim() === fence[0]!.repeat(line.trim().length)) {
        fence = null;
        flush();
      }
      continue;
    }
    if (line.trim() === '') {
      blank = true;
      continue;
    }
    const opening = FENCE.exec(line);
    const inList = lines.length > 0 && ITEM.test(lines[0]!);
    const continues = inList ? ITEM.test(line) || !blank || /^\s/.test(line) : !blank && !ITEM.test(line);
    if (opening) {
      flush();
      lines.push(line);
      fence = opening[1]!;
    } else if (RULE.test(line) || HEADING.test(line)) {
      flush();
      blocks.push(line);
    } else {
      if (!continues) flush();
      lines.push(line);
    }
    blank = false;
  }
  flush();
  return blocks;
}

const Block = memo(function Block({ source, growing }: { source: string; growing: boolean }) {
  if (RULE.test(source)) return <hr />;
  const lines = source.split('\n');
  if (FENCE.test(source)) return <pre dir="auto"><code>{fenced(lines)}</code></pre>;
  const heading = HEADING.exec(source);
  // Within a speech, whose own heading is the speaker's name, all headings are of one level.
  if (heading) return <h4 dir="auto" data-level={heading[1]!.length}>{inline(heading[2]!, growing)}</h4>;
  if (ITEM.test(lines[0]!)) return <List lines={lines} growing={growing} />;
  if (lines.every((line) => QUOTE.test(line))) return <blockquote dir="auto">{inline(unquoted(lines), growing)}</blockquote>;
  return <p dir="auto">{inline(source, growing)}</p>;
});

const unquoted = (lines: string[]) => lines.map((line) => QUOTE.exec(line)?.[1] ?? line).join('\n');

const fenced = (lines: string[]) => (lines.length > 1 && FENCE.test(lines.at(-1)!) ? lines.slice(1, -1) : lines.slice(1)).join('\n');

function plainBlock(block: string): string {
  if (RULE.test(block)) return '';
  const lines = block.split('\n');
  if (FENCE.test(block)) return fenced(lines);
  const heading = HEADING.exec(block);
  const bare = heading ? heading[2]!
    : lines.map((line) => ITEM.exec(line)?.[3] ?? QUOTE.exec(line)?.[1] ?? line).join('\n');
  return textOf(inline(bare, false));
}

// Lists -----------------------------------------------------------------------------------------

interface Item { lines: string[]; inner: Listing | null }
interface Listing { indent: number; start: number | null; items: Item[] }

function List({ lines, growing }: { lines: string[]; growing: boolean }) {
  const listing = useMemo(() => nested(lines), [lines]);
  return listing && showListing(listing, growing);
}

/** Deeper indents make inner lists; by how much does not matter, as agents are careless with it. */
function nested(lines: string[]): Listing | null {
  const open: Listing[] = []; // from the outermost in
  for (const line of lines) {
    const found = ITEM.exec(line);
    if (!found) { // a line that goes on with the item above
      open.at(-1)?.items.at(-1)?.lines.push(line.trim());
      continue;
    }
    const indent = found[1]!.replaceAll('\t', '    ').length;
    while (open.length > 1 && open.at(-1)!.indent > indent) open.pop();
    const last = open.at(-1);
    const item: Item = { lines: [found[3]!], inner: null };
    if (last && !(last.indent < indent && open.length < DEEPEST)) {
      last.items.push(item);
      continue;
    }
    const list: Listing = { indent, start: found[2] === undefined ? null : Number(found[2]), items: [item] };
    const parent = last?.items.at(-1);
    if (parent?.inner) parent.inner.items.push(item);
    else if (parent) parent.inner = list;
    open.push(parent?.inner ?? list);
  }
  return open[0] ?? null;
}

function showListing(list: Listing, growing: boolean): ReactNode {
  const items = list.items.map((item, index) => (
    <li key={index} dir="auto">{inline(item.lines.join('\n'), growing)}{item.inner && showListing(item.inner, growing)}</li>
  ));
  return list.start === null ? <ul>{items}</ul> : <ol start={list.start}>{items}</ol>;
}

// Emphasis --------------------------------------------------------------------------------------

interface Frame { mark: string; nodes: ReactNode[] }

/**
 * Emphasis, code and line breaks, in one pass: what is open waits on a stack, so that no speech, however
 * odd, costs more than its length.
 */
function inline(source: string, growing: boolean): ReactNode[] {
  const stack: Frame[] = [{ mark: '', nodes: [] }];
  let end = 0;
  let key = 0;
  for (const piece of source.split(MARKS)) {
    const before = source[end - 1] ?? ' ';
    end += piece.length;
    const after = source[end] ?? ' ';
    key += 1;
    if (piece === '\n') add(stack, <br key={key} />); // agents mean their line breaks
    else if (CODE.test(piece)) add(stack, <code key={key}>{piece.slice(1, -1)}</code>);
    else if (!EMPHASIS.test(piece) || (piece[0] === '_' && /\w/.test(before) && /\w/.test(after))) add(stack, piece); // so snake_case is text
    else {
      const opener = stack.findLastIndex((frame) => frame.mark === piece);
      if (opener > 0 && /\S/.test(before)) {
        while (stack.length > opener + 1) unwind(stack, false, key);
        add(stack, emphasised(stack.pop()!, key));
      } else if (/\S/.test(after) && stack.length < DEEPEST) stack.push({ mark: piece, nodes: [] });
      else add(stack, piece);
    }
  }
  while (stack.length > 1) unwind(stack, growing, key += 1);
  return stack[0]!.nodes;
}

/** Ends emphasis that never closed: its mark was just text, or its end is yet to come. */
function unwind(stack: Frame[], growing: boolean, key: number): void {
  const frame = stack.pop()!;
  if (growing && frame.mark.length > 1) add(stack, emphasised(frame, key));
  else for (const node of [frame.mark, ...frame.nodes]) add(stack, node);
}

function add(stack: Frame[], node: ReactNode): void {
  const { nodes } = stack.at(-1)!;
  const last = nodes.at(-1);
  if (typeof node === 'string' && typeof last === 'string') nodes[nodes.length - 1] = last + node;
  else if (node !== '') nodes.push(node);
}

function emphasised({ mark, nodes }: Frame, key: number): ReactNode {
  if (mark.length === 1) return <em key={`e${key}`}>{nodes}</em>;
  return <strong key={`e${key}`}>{mark.length === 3 ? <em>{nodes}</em> : nodes}</strong>;
}

function textOf(node: ReactNode): string {
  if (typeof node === 'string') return node;
  if (Array.isArray(node)) return node.map(textOf).join('');
  if (node !== null && typeof node === 'object' && 'props' in node) {
    const element = node as { type: unknown; props: { children?: ReactNode } };
    return element.type === 'br' ? '\n' : textOf(element.props.children);
  }
  return '';
}
