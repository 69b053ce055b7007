/**
 * One stream on the screen: events are folded as they come, and drawn once per animation frame.
 *
 * Drawing compares by identity what stands on the page with the state, so a frame costs what changed.
 */

import { controlButton, drawControls } from './controls.js';
import { announce, byId, clockTime, counted, element, isolated, setText, spelled, STATUS_WORDS } from './dom.js';
import { fold, initialState } from './fold.js';
import { listedTitle } from './home.js';
import { follow } from './stream.js';
import { drawEntries, drawOpen, mark, nameOf, spokenEntry } from './transcript.js';

const NEAR_END_PX = 80;

/**
 * @typedef {object} Watched
 * @property {'debate' | 'conversation'} kind
 * @property {string} id
 * @property {import('./fold.js').State} state
 * @property {import('./fold.js').State | null} drawn  the state that stands on the page
 * @property {import('./stream.js').Link} link
 * @property {string | null} reason  why the link is as it is
 * @property {{retry: () => void, close: () => void} | null} stream
 * @property {boolean | null} following  whether the page keeps to the live edge; null: not yet placed
 * @property {number} unseen  speeches that came while the reader was further up
 */
/** @type {Watched | null} */
let watched = null;
let frame = 0;
let lastScroll = 0;

export function startWatch() {
  byId('retry').onclick = () => watched?.stream.retry();
  byId('jump').onclick = () => { keepToEnd(); drawJump(); };
  addEventListener('scroll', noteScroll, { passive: true });
  addEventListener('resize', () => { if (watched?.following) keepToEnd(); });
  setInterval(() => { if (watched && !document.hidden) drawFacts(watched.state); }, 1_000);
}

export function showWatch(kind, id) {
  hideWatch();
  for (const part of ['transcript', 'open', 'placeholder', 'speaker']) byId(part).replaceChildren();
  byId('watch').dataset.kind = kind;
  watched = { kind, id, state: initialState(kind), drawn: null, link: 'connecting', reason: null, stream: null, following: null, unseen: 0 };
  watched.stream = follow(kind, id, { onEvent: receive, onLink: relink });
  draw();
}

export function hideWatch() {
  watched?.stream.close();
  watched = null;
  cancelAnimationFrame(frame);
  frame = 0;
  if (byId('details').matches(':popover-open')) byId('details').hidePopover();
}

function receive(event) {
  const before = watched.state;
  const state = fold(before, event);
  watched.state = state;
  if (before.caughtUp) {
    const fresh = state.entries.filter((entry, index) => entry !== before.entries[index]);
    for (const entry of fresh) announce(spokenEntry(entry, state));
    if (watched.following === false) watched.unseen += fresh.filter((entry) => entry.kind === 'speech').length;
  } else if (state.caughtUp || state.status === 'completed') {
    announce([statusWord(), state.phase && `Phase: ${spelled(state.phase)}`, speakerName() && `Speaker: ${speakerName()}`].filter(Boolean).join('. '));
    // A reader who opens a running stream wants its live edge; one who opens a finished one, its beginning.
    watched.following ??= state.status !== 'completed';
  }
  schedule();
}

function relink(link, reason) {
  if (!watched) return;
  // One dropped connection is nobody's business: only what lasts is read out.
  if (reason !== null && reason !== watched.reason) announce(reason);
  Object.assign(watched, { link, reason });
  schedule();
}

function schedule() {
  if (frame === 0) frame = requestAnimationFrame(() => { frame = 0; draw(); });
}

// Drawing ---------------------------------------------------------------------------------------

function draw() {
  const { kind, id, state, drawn } = watched;
  const entriesChanged = state.entries !== drawn?.entries;
  drawBar(state, drawn);
  drawStrip(state);
  if (entriesChanged) drawEntries(state, drawn);
  drawOpen(state);
  drawPlaceholder(state);
  if (entriesChanged || state.voices !== drawn.voices) drawOutline(state);
  if (statusName() !== byId('controls').dataset.status || drawn === null) drawControls(kind, id, statusName());
  byId('controls').dataset.status = statusName();
  byId('summary-section').hidden = state.summary === null;
  setText(byId('summary'), state.summary ?? '');
  watched.drawn = state;
  if (watched.following) keepToEnd();
  drawJump();
}

/** FR-204: the phase and the speaker, at all times. */
function drawBar(state, drawn) {
  const title = state.title ?? state.proposition ?? listedTitle(watched.kind, watched.id) ?? watched.id;
  setText(byId('title'), title);
  document.title = `${title} · ClearSide`;
  const proposition = state.proposition ?? state.title;
  byId('proposition').hidden = proposition === null;
  byId('proposition').classList.toggle('same', proposition === title);
  setText(byId('proposition'), proposition ?? '');

  byId('status').dataset.status = statusName();
  byId('watch').dataset.status = statusName();
  setText(byId('status'), statusWord());
  byId('phase-fact').hidden = state.kind === 'conversation' && state.phase === null;
  setText(byId('phase'), state.phase === null ? 'Not begun' : spelled(state.phase));

  const speaking = statusName() === 'live' && state.open.some((speech) => speech.voice === state.speaker);
  byId('speaker').toggleAttribute('data-speaking', speaking);
  setText(byId('speaker-label'), speaking ? 'Speaking' : state.status === 'completed' ? 'Last speaker' : 'Speaker');
  if (drawn === null || state.speaker !== drawn.speaker || state.voices !== drawn.voices) {
    byId('speaker').replaceChildren(...(state.speaker === null ? ['Nobody yet'] : [mark(state, state.speaker), isolated(speakerName())]));
  }
  drawFacts(state);
}

function drawFacts(state) {
  const end = state.status === 'completed' ? state.lastAt : Date.now();
  setText(byId('facts'), [
    state.startedAt === null ? null : clockTime(end - state.startedAt),
    counted(state.turnCount, 'turn'),
    state.followers === null ? null : `${state.followers.toLocaleString('en')} watching`,
  ].filter(Boolean).join(' · '));
}

const speakerName = () => (watched.state.speaker === null ? null : nameOf(watched.state.voices[watched.state.speaker]));

/** What the pill says: the link's trouble first, for whatever else we know is then from before it. */
function statusName() {
  const { state, link } = watched;
  if (state.status === 'completed') return 'completed';
  if (link !== 'open') return link;
  if (!state.caughtUp) return 'catching-up';
  return state.status === 'unknown' ? 'waiting' : state.status;
}

const statusWord = () => STATUS_WORDS[statusName()] ?? spelled(statusName());

const isBlank = (state) => state.entries.length === 0 && state.open.length === 0;

function drawStrip(state) {
  const status = statusName();
  const words = {
    'catching-up': watched.following === null ? `Catching up: ${counted(state.entries.length, 'entry', 'entries')} so far` : null,
    reconnecting: watched.reason && `${watched.reason} Trying again; what is said meanwhile will follow.`,
    closed: watched.reason,
    refused: watched.reason,
  }[status] ?? null;
  byId('strip').hidden = words === null || isBlank(state);
  byId('strip').dataset.status = status;
  byId('retry').hidden = status === 'catching-up';
  setText(byId('strip-text'), words ?? '');
}

/** What stands where there is no transcript yet, or after its end. */
function drawPlaceholder(state) {
  const status = statusName();
  const key = `${status} ${isBlank(state)} ${watched.reason} ${state.turnCount}`;
  const place = byId('placeholder');
  if (place.dataset.key === key && place.hasChildNodes()) return;
  place.dataset.key = key;
  const say = (heading, words, ...actions) => place.replaceChildren(
    element('h2', {}, heading), element('p', {}, words), element('div', { className: 'actions' }, ...actions));
  const elsewhere = element('a', { href: '/', className: 'button' }, 'See what else is on');
  const retry = element('button', { type: 'button', className: 'button', onclick: () => watched.stream.retry() }, 'Try now');
  place.hidden = !isBlank(state) && status !== 'completed';
  if (status === 'completed') {
    const length = state.startedAt === null ? '' : ` in ${clockTime(state.lastAt - state.startedAt)}`;
    say(`This ${state.kind} has ended`, `${counted(state.turnCount, 'turn')}${length}.`, elsewhere);
  } else if (status === 'waiting') {
    say('Waiting for it to begin', `Nobody has published to this ${state.kind} yet. Keep the page open: it starts by itself as soon as somebody does.`,
      controlButton(watched.kind, watched.id, 'launch', 'Play the sample here', 'button primary'), elsewhere);
  } else if (status === 'refused') say('This can’t be watched', watched.reason, elsewhere);
  else if (status === 'closed') say('No connection', watched.reason, retry, elsewhere);
  else if (status === 'reconnecting') say('No connection', `${watched.reason ?? ''} The page keeps trying by itself.`, elsewhere);
  else if (status === 'live' || status === 'paused') say('It has begun', 'The first words are on their way.');
  else say('Connecting…', '');
}

function drawOutline(state) {
  byId('voices-section').hidden = state.voices.length === 0;
  byId('voices').replaceChildren(...state.voices.map((voice, index) => {
    const turns = state.entries.filter((entry) => entry.kind === 'speech' && entry.voice === index).length;
    const role = { pro: 'for', con: 'against', moderator: 'in the chair' }[voice.side] ?? (voice.isHost ? 'host' : null);
    return element('li', {}, mark(state, index), isolated(nameOf(voice), 'voice-name'),
      element('span', { className: 'voice-facts' }, [role, counted(turns, 'turn')].filter(Boolean).join(' · ')));
  }));
  const phases = [...state.entries.entries()].filter(([, entry]) => entry.kind === 'phase');
  byId('phases-section').hidden = phases.length === 0;
  byId('phases').replaceChildren(...phases.map(([index, { phase }]) => {
    const go = () => { watched.following = false; byId('transcript').children[index].scrollIntoView(); };
    const button = element('button', { type: 'button', className: 'link', dir: 'auto', onclick: go }, spelled(phase));
    if (phase === state.phase && state.status !== 'completed') button.setAttribute('aria-current', 'step');
    return element('li', {}, button);
  }));
}

// Following the live edge -----------------------------------------------------------------------

function keepToEnd() {
  Object.assign(watched, { following: true, unseen: 0 });
  scrollTo({ top: document.documentElement.scrollHeight, behavior: 'instant' });
}

/** Only the reader's own upward move stops following: growth moves nothing, and drawing moves down. */
function noteScroll() {
  const up = scrollY < lastScroll;
  lastScroll = scrollY;
  if (!watched || watched.following === null) return;
  if (document.documentElement.scrollHeight - innerHeight - scrollY < NEAR_END_PX) Object.assign(watched, { following: true, unseen: 0 });
  else if (up) watched.following = false;
  drawJump();
}

function drawJump() {
  const { state, following, unseen } = watched;
  const completed = state.status === 'completed';
  byId('jump').hidden = following !== false || (completed && unseen === 0);
  setText(byId('jump'), `${completed ? 'Jump to the end' : 'Jump to live'}${unseen > 0 ? ` · ${unseen} new` : ''}`);
}
