/**
 * The light Markdown that agents speak: headings, lists, rules, quotes, emphasis and code.
 *
 * Makes DOM nodes out of text nodes and fixed element names, so no speech can become markup. Anything
 * not understood stays the text it was.
 */

const RULE = /^ {0,3}([-*_])[ \t]*(?:\1[ \t]*){2,}$/;
const HEADING = /^ {0,3}(#{1,6})[ \t]+(.*)$/;
const ITEM = /^([ \t]*)(?:[-*+]|(\d{1,3})[.)])[ \t]+(.*)$/;
const QUOTE = /^ {0,3}> ?(.*)$/;
const MARKS = /(`[^`\n]+`|\*+|_+|\n)/;
const CODE = /^`[^`\n]+`$/;
const EMPHASIS = /^(?:\*{1,3}|_{1,2})$/;
const DEEPEST = 6;

/**
 * Shows `source` in `container`, touching only the blocks that changed: while a speech grows that is
 * the last one, so a reader's selection further up survives.
 * @param {HTMLElement & {blocks?: string[]}} container
 */
export function showMarkdown(container, source, growing = false) {
  const blocks = splitBlocks(source);
  const shown = container.blocks ?? [];
  let same = 0;
  while (same < blocks.length && blocks[same] === shown[same]) same += 1;
  while (container.children.length > same) container.lastElementChild.remove();
  container.append(...blocks.slice(same).map((block) => renderBlock(block, growing)));
  container.blocks = blocks;
}

/** The words without their marks, for a voice to read out. */
export function plainText(source) {
  return splitBlocks(source).map((block) => renderBlock(block).textContent).join(' ').replace(/\s+/g, ' ').trim();
}

/** Cuts at blank lines, and round headings and rules; a list stays whole across the blank lines in it. */
function splitBlocks(source) {
  const blocks = [];
  let lines = [];
  let blank = false;
  const flush = () => { if (lines.length > 0) blocks.push(lines.join('\n')); lines = []; };
  for (const line of source.split(/\r\n?|\n/)) {
    if (line.trim() === '') { blank = true; continue; }
    const inList = lines.length > 0 && ITEM.test(lines[0]);
    const continues = inList ? ITEM.test(line) || !blank || /^\s/.test(line) : !blank && !ITEM.test(line);
    if (RULE.test(line) || HEADING.test(line)) {
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

function renderBlock(block, growing = false) {
  if (RULE.test(block)) return document.createElement('hr');
  const heading = HEADING.exec(block);
  // The page's own headings end at h3, so a speech's begin below.
  if (heading) return element(`h${Math.min(6, heading[1].length + 3)}`, heading[2], growing);
  const lines = block.split('\n');
  if (ITEM.test(lines[0])) return renderList(lines, growing);
  if (!lines.every((line) => QUOTE.test(line))) return element('p', block, growing);
  return element('blockquote', lines.map((line) => QUOTE.exec(line)[1]).join('\n'), growing);
}

/** Deeper indents make inner lists; by how much does not matter, as agents are careless with it. */
function renderList(lines, growing) {
  const open = []; // the lists from the outermost in: {indent, list}
  for (const line of lines) {
    const item = ITEM.exec(line);
    if (!item) { // a line that goes on with the item above
      const last = open.at(-1).list.lastElementChild;
      last.append(document.createElement('br'), ...inline(line.trim(), growing));
      continue;
    }
    const [, space, ordinal, words] = item;
    const indent = space.replaceAll('\t', '    ').length;
    while (open.length > 1 && open.at(-1).indent > indent) open.pop();
    if (open.length === 0 || (open.at(-1).indent < indent && open.length < DEEPEST)) {
      const list = document.createElement(ordinal === undefined ? 'ul' : 'ol');
      if (ordinal !== undefined && ordinal !== '1') list.start = Number(ordinal);
      open.at(-1)?.list.lastElementChild.append(list);
      open.push({ indent, list });
    }
    open.at(-1).list.append(element('li', words, growing));
  }
  return open[0].list;
}

function element(name, source, growing) {
  const node = wrap(name, inline(source, growing));
  node.dir = 'auto'; // each block finds its own direction, and bidi marks end with it
  return node;
}

/**
 * Emphasis, code and line breaks, in one pass: what is open waits on a stack, so that no speech, however
 * odd, costs more than its length. `growing` closes bold that is still being spoken instead of showing its stars.
 * @returns {(Node | string)[]}
 */
function inline(source, growing) {
  const stack = [{ mark: '', nodes: [] }];
  let end = 0;
  for (const piece of source.split(MARKS)) {
    const before = source[end - 1] ?? ' ';
    end += piece.length;
    const after = source[end] ?? ' ';
    if (piece === '\n') add(stack, document.createElement('br')); // agents mean their line breaks
    else if (CODE.test(piece)) add(stack, wrap('code', [piece.slice(1, -1)]));
    else if (!EMPHASIS.test(piece) || (piece[0] === '_' && /\w/.test(before) && /\w/.test(after))) add(stack, piece); // so snake_case is text
    else {
      const opener = stack.findLastIndex((frame) => frame.mark === piece);
      if (opener > 0 && /\S/.test(before)) {
        while (stack.length > opener + 1) unwind(stack, false);
        add(stack, emphasised(stack.pop()));
      } else if (/\S/.test(after) && stack.length < DEEPEST) stack.push({ mark: piece, nodes: [] });
      else add(stack, piece);
    }
  }
  while (stack.length > 1) unwind(stack, growing);
  return stack[0].nodes;
}

/** Ends emphasis that never closed: its mark was just text, or its end is yet to come. */
function unwind(stack, growing) {
  const frame = stack.pop();
  if (growing && frame.mark.length > 1) add(stack, emphasised(frame));
  else for (const node of [frame.mark, ...frame.nodes]) add(stack, node);
}

function add(stack, node) {
  const { nodes } = stack.at(-1);
  if (typeof node === 'string' && typeof nodes.at(-1) === 'string') nodes.push(nodes.pop() + node);
  else nodes.push(node);
}

const emphasised = ({ mark, nodes }) =>
  (mark.length === 1 ? wrap('em', nodes) : wrap('strong', mark.length === 3 ? [wrap('em', nodes)] : nodes));

/** @param {(Node | string)[]} nodes  strings become text nodes */
function wrap(name, nodes) {
  const node = document.createElement(name);
  for (const child of nodes) node.append(child);
  return node;
}
