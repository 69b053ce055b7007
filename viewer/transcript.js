/** The transcript: entries and growing speeches as nodes, and as words to be read out. */

import { byId, clockTime, counted, element, isolated, spelled } from './dom.js';
import { plainText, showMarkdown } from './markdown.js';

/** @typedef {import('./fold.js').State} State */
/** @typedef {import('./fold.js').Entry} Entry */

const SPOKEN_MAX = 2_000; // a screen reader should not be held for minutes by one speech
const NOTE_WORDS = { pause: 'Paused', resume: 'Resumed', complete: 'Ended', error: 'Problem', gap: 'Gap' };

/**
 * Entries are only ever appended, save when a gap takes some back: draws from the first that differs.
 * @param {State} state @param {State | null} drawn  what stands on the page
 */
export function drawEntries(state, drawn) {
  const before = drawn?.entries ?? [];
  const transcript = byId('transcript');
  let same = 0;
  while (same < before.length && before[same] === state.entries[same]) same += 1;
  while (transcript.children.length > same) transcript.lastElementChild.remove();
  transcript.append(...state.entries.slice(same).map((entry) => entryNode(entry, state)));
}

/** @param {State} state */
export function drawOpen(state) {
  const nodes = new Map([...byId('open').children].map((node) => [Number(node.dataset.voice), node]));
  for (const { voice, text } of state.open) {
    const node = nodes.get(voice) ?? speechNode(state, voice, 'speaking', null);
    nodes.delete(voice);
    if (!node.isConnected) byId('open').append(node);
    showMarkdown(node.querySelector('.words'), text, true);
  }
  for (const node of nodes.values()) node.remove();
}

/** @param {Entry} entry @param {State} state */
function entryNode(entry, state) {
  if (entry.kind === 'phase') return element('h2', { className: 'phase-mark', dir: 'auto' }, element('span', {}, spelled(entry.phase)));
  if (entry.kind !== 'speech') {
    const words = entry.kind === 'gap' ? gapWords(entry) : entry.text;
    return element('p', { className: 'note', data: { kind: entry.kind } },
      entry.kind === 'complete' ? element('span', { className: 'logo' }) : element('strong', {}, NOTE_WORDS[entry.kind]),
      words && isolated(words), timeNode(entry.offset));
  }
  const tag = entry.interjection ? 'interjects' : entry.question === null ? null : 'answers a question';
  const node = speechNode(state, entry.voice, tag, entry.offset);
  node.classList.toggle('interjection', entry.interjection);
  const words = node.querySelector('.words');
  if (entry.question) words.before(element('blockquote', { className: 'question', dir: 'auto' }, entry.question));
  showMarkdown(words, entry.text);
  if (entry.interrupted) node.append(element('p', { className: 'cut' }, 'Interrupted'));
  return node;
}

function speechNode(state, index, tag, offset) {
  const voice = state.voices[index];
  return element('article', { className: 'speech', data: { ...look(state, index), voice: index } },
    element('header', {},
      mark(state, index),
      element('h3', {}, isolated(nameOf(voice))),
      voice.isHost ? element('span', { className: 'tag' }, 'host') : null,
      tag && element('span', { className: 'tag' }, tag),
      timeNode(offset)),
    element('div', { className: 'words' }));
}

const timeNode = (offset) => (Number.isFinite(offset) ? element('time', {}, clockTime(offset)) : null);

/** A voice's sign: a half-moon for each side, a ring for the chair, initials in a shape of its own for others. */
export function mark(state, index) {
  const voice = state.voices[index];
  return element('span', { className: 'mark', ariaHidden: 'true', data: look(state, index) }, voice.side ? '' : initials(nameOf(voice)));
}

/** What the style sheet tells voices apart by. */
function look(state, index) {
  const { side } = state.voices[index];
  return side ? { side } : { tone: state.voices.slice(0, index).filter((voice) => !voice.side).length % 6 };
}

/** @param {import('./fold.js').Voice} voice */
export const nameOf = (voice) => voice.name ?? spelled(voice.slug ?? voice.id);

function initials(name) {
  const words = name.split(/[^\p{L}\p{M}]+/u).filter(Boolean);
  return [...new Set([words[0], words.at(-1)])].map((word) => [...(word ?? '?')][0].toUpperCase()).join('');
}

function gapWords({ reason, missed, atStart }) {
  const events = missed === null ? 'Some events' : counted(missed, 'event');
  if (reason === 'expired') {
    return atStart ? `The beginning is missing: the server no longer keeps it (${events.toLowerCase()}).`
      : `${events} came while this page was away, and the server no longer keeps them.`;
  }
  if (reason === 'ahead') return 'The server has gone back to an earlier state. From here on this is its telling.';
  return atStart ? 'The server does not know the place this page asked for. This is all that it still has.'
    : 'The server has begun this stream anew. What stands above is from before.';
}

/** An entry as a screen reader should hear it. @param {Entry} entry @param {State} state */
export function spokenEntry(entry, state) {
  if (entry.kind === 'phase') return `Phase: ${spelled(entry.phase)}`;
  if (entry.kind !== 'speech') return `${NOTE_WORDS[entry.kind]}. ${entry.kind === 'gap' ? gapWords(entry) : entry.text ?? ''}`;
  const words = plainText(entry.text.slice(0, SPOKEN_MAX)) + (entry.text.length > SPOKEN_MAX ? '…' : '');
  return `${nameOf(state.voices[entry.voice])}${entry.interjection ? ' interjects' : ''}: ${words}${entry.interrupted ? ' Interrupted.' : ''}`;
}
