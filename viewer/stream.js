/**
 * Keeps one stream followed: an EventSource, and what an EventSource can't do for itself.
 *
 * A dropped connection is the browser's business: it comes back and sends `Last-Event-ID`. But any
 * answer other than 200 ends an EventSource for ever, without saying why. Then we ask the server over
 * plain HTTP what is wrong, say it, and open a new one, further and further apart.
 */

import { eventTypes } from './fold.js';

/** @typedef {'connecting' | 'open' | 'reconnecting' | 'closed' | 'refused' | 'finished'} Link */

const PATHS = { debate: '/api/debates', conversation: '/api/conversations/sessions' };
const FIRST_WAIT_MS = 1_000;
const LONGEST_WAIT_MS = 30_000;
const ENDED = 'The server ended the connection.';
const UNREACHABLE = 'The server can’t be reached.';

export const collectionUrl = (kind) => PATHS[kind];
const streamUrl = (kind, id) => `${PATHS[kind]}/${encodeURIComponent(id)}`;

/** Reads plain JSON; throws an Error that a person can be shown. */
export async function read(url) {
  const response = await fetch(url, { cache: 'no-store' }).catch(() => { throw new Error(UNREACHABLE); });
  if (!response.ok) throw new Error(await refusal(response));
  return response.json();
}

/** Sends a control to a stream. @returns {Promise<string | null>} why it was refused, or null */
export async function send(kind, id, verb) {
  try {
    const response = await fetch(`${streamUrl(kind, id)}/${verb}`, { method: 'POST' });
    return response.ok ? null : await refusal(response);
  } catch { return UNREACHABLE; }
}

/** The server's own words for a refusal, or ours when it had none. */
async function refusal(response) {
  const body = await response.json().catch(() => null);
  return body?.error?.message ?? `The server answered ${response.status}.`;
}

/**
 * @param {'debate' | 'conversation'} kind
 * @param {string} id
 * @param {{onEvent: (event: import('./fold.js').StreamEvent) => void,
 *   onLink: (link: Link, reason: string | null) => void}} listener
 * @returns {{retry: () => void, close: () => void}}
 */
export function follow(kind, id, { onEvent, onLink }) {
  /** @type {EventSource | null} */
  let source = null;
  let cursor = 'earliest'; // who opens the page wants the whole transcript
  let failures = 0; // connections in a row that told us nothing
  let busy = false;
  let over = false;
  let timer = 0;

  function open() {
    clearTimeout(timer);
    source?.close();
    onLink('connecting', null);
    source = new EventSource(`${streamUrl(kind, id)}/stream?lastEventId=${encodeURIComponent(cursor)}`);
    source.addEventListener('error', lost);
    for (const type of [...eventTypes(kind), 'busy']) source.addEventListener(type, hear);
  }

  function hear(event) {
    if (event.data === undefined) return; // the EventSource's own `error`: see `lost`
    cursor = event.lastEventId || cursor;
    busy = event.type === 'busy';
    if (busy) return; // a close follows, and the browser comes back by itself
    failures = 0;
    onLink('open', null);
    const data = parsed(event.data);
    if (data !== null) onEvent({ type: event.type, data, id: event.lastEventId || null });
    // The end is final: don't let the browser come back only to be told so.
    if (event.type === 'complete' || event.type === 'conversation_completed') finish();
  }

  /** The first loss says nothing yet: a connection that reached its age limit ends like this every hour. */
  function lost(event) {
    if (event.data !== undefined) return; // a stream's own `error` event shares the name
    failures += 1;
    if (source.readyState === EventSource.CLOSED) reopenLater();
    else onLink('reconnecting', busy ? 'The server is full or restarting.' : failures > 1 ? UNREACHABLE : null);
  }

  async function reopenLater() {
    const lostSource = source;
    const { reason, status } = await diagnose(kind, id);
    if (over || source !== lostSource) return;
    if (status === 'completed') { finish(); return; }
    if (status === 'refused') { onLink('refused', reason); return; }
    const wait = Math.min(LONGEST_WAIT_MS, FIRST_WAIT_MS * 2 ** (failures - 1)) * (0.75 + Math.random() / 2);
    timer = setTimeout(open, wait);
    onLink('closed', `${reason} Trying again in ${Math.ceil(wait / 1000)} s.`);
  }

  function finish() {
    close();
    onLink('finished', null);
  }

  function close() {
    over = true;
    clearTimeout(timer);
    removeEventListener('online', open);
    source?.close();
  }

  addEventListener('online', open); // sooner than the browser would, and a connection from before may be dead
  open();
  return { retry: open, close };
}

/** Why an EventSource was turned away, as far as the stream's plain JSON tells. */
async function diagnose(kind, id) {
  try {
    const response = await fetch(streamUrl(kind, id), { cache: 'no-store' });
    if (response.ok) return { status: (await response.json()).status, reason: ENDED };
    // A 404 says only that nobody has published yet: the stream itself may be opened before that.
    if (response.status === 404) return { status: null, reason: ENDED };
    const passing = response.status >= 500 || response.status === 429;
    return { status: passing ? null : 'refused', reason: await refusal(response) };
  } catch {
    return { status: null, reason: UNREACHABLE };
  }
}

/** @returns {Record<string, any> | null} */
function parsed(json) {
  try {
    const data = JSON.parse(json);
    return data !== null && typeof data === 'object' ? data : null;
  } catch {
    return null; // not ours to judge: one unreadable event must not end the page
  }
}
