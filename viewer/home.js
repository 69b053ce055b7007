/** The first page: what there is to watch, kept fresh, and how to start something when there is nothing. */

import { ago, byId, counted, element, isolated, spelled, STATUS_WORDS } from './dom.js';
import { collectionUrl, read, send } from './stream.js';

const REFRESH_MS = 5_000;
const REFRESH_FAILED_MS = 10_000;
const PAGE_SIZE = 20;
const KINDS = ['debate', 'conversation'];

/** @typedef {{id: string, title: string | null, status: string, phase: string | null, speaker: string | null,
 *   turnCount: number, createdAt: number, lastActivityAt: number, subscribers: number}} Listed */
/** @type {Record<string, {streams: Map<string, Listed>, next: string | null, loaded: boolean}>} */
const lists = Object.fromEntries(KINDS.map((kind) => [kind, { streams: new Map(), next: null, loaded: false }]));

let timer = 0;
let shown = false;
/** @type {(kind: string, id: string) => void} */
let watch;

/** @param {(kind: string, id: string) => void} watchStream */
export function startHome(watchStream) {
  watch = watchStream;
  for (const kind of KINDS) byId(`${kind}-more`).onclick = () => loadMore(kind);
  for (const button of document.querySelectorAll('[data-launch]')) button.onclick = () => launchSample(button);
  byId('open-form').onsubmit = (event) => {
    event.preventDefault();
    const fields = new FormData(event.target);
    watch(fields.get('kind'), fields.get('id').trim());
  };
  document.addEventListener('visibilitychange', () => { if (shown && !document.hidden) refresh(); });
}

export function showHome() {
  shown = true;
  document.title = 'ClearSide';
  refresh();
}

export function hideHome() {
  shown = false;
  clearTimeout(timer);
}

/** A title for a stream whose own history doesn't tell it any more. */
export const listedTitle = (kind, id) => lists[kind].streams.get(id)?.title ?? null;

async function refresh() {
  clearTimeout(timer);
  let failed = null;
  await Promise.all(KINDS.map((kind) => load(kind, `?limit=${PAGE_SIZE}`).catch((error) => { failed = error; })));
  if (!shown) return;
  notice(failed && `${failed.message} Looking again in a few seconds.`);
  draw();
  // Nobody looks at a hidden tab: it asks again when it is seen.
  if (!document.hidden) timer = setTimeout(refresh, failed ? REFRESH_FAILED_MS : REFRESH_MS);
}

async function load(kind, query) {
  const { streams, next } = await read(collectionUrl(kind) + query);
  const list = lists[kind];
  for (const stream of streams) list.streams.set(stream.id, stream);
  // The first page comes again and again; only the furthest page knows where the list goes on.
  if (!list.loaded || query.includes('before=')) list.next = next;
  list.loaded = true;
}

async function loadMore(kind) {
  try {
    await load(kind, `?limit=${PAGE_SIZE}&before=${encodeURIComponent(lists[kind].next)}`);
    draw();
  } catch (error) { notice(error.message); }
}

function draw() {
  const nothing = KINDS.every((kind) => lists[kind].loaded && lists[kind].streams.size === 0);
  byId('first-visit').hidden = !nothing;
  byId('lists').hidden = nothing;
  for (const kind of KINDS) {
    const { streams, next, loaded } = lists[kind];
    const focused = document.activeElement?.closest('.streams a')?.getAttribute('href');
    byId(`${kind}-list`).replaceChildren(...[...streams.values()].sort(runningThenNewest).map((stream) => streamItem(kind, stream)));
    if (streams.size === 0) {
      byId(`${kind}-list`).append(element('li', { className: 'none' }, loaded ? `No ${kind}s yet.` : 'Looking…'));
    }
    if (focused) byId(`${kind}-list`).querySelector(`a[href="${CSS.escape(focused)}"]`)?.focus();
    byId(`${kind}-more`).hidden = next === null || !loaded;
  }
}

const runningThenNewest = (a, b) => (a.status === 'completed') - (b.status === 'completed') || b.createdAt - a.createdAt;

/** @param {Listed} stream */
function streamItem(kind, stream) {
  const now = stream.status === 'completed' ? null : [stream.phase && spelled(stream.phase), stream.speaker].filter(Boolean).join(' · ');
  const facts = [
    stream.turnCount > 0 ? counted(stream.turnCount, 'turn') : null,
    stream.subscribers > 0 ? `${stream.subscribers.toLocaleString('en')} watching` : null,
    ago(stream.lastActivityAt),
  ].filter(Boolean).join(' · ');
  return element('li', {}, element('a', { href: `?${kind}=${stream.id}`, className: 'stream', data: { status: stream.status } },
    element('span', { className: 'status', data: { status: stream.status } }, STATUS_WORDS[stream.status] ?? stream.status),
    isolated(stream.title ?? stream.id, 'stream-title'),
    now ? isolated(now, 'stream-now') : null,
    element('span', { className: 'stream-facts' }, facts)));
}

async function launchSample(button) {
  const kind = button.dataset.launch;
  const id = `sample-${crypto.getRandomValues(new Uint32Array(1))[0].toString(36)}`;
  button.disabled = true;
  const refused = await send(kind, id, 'launch');
  button.disabled = false;
  if (refused === null) watch(kind, id);
  else notice(refused);
}

function notice(words) {
  byId('home-notice').hidden = !words;
  byId('home-notice').textContent = words ?? '';
}
