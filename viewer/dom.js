/** Small things that both views need: making nodes, and words for people. Data only ever becomes text nodes. */

export const byId = (id) => document.getElementById(id);

/**
 * @param {string} name
 * @param {Record<string, any>} properties  set as DOM properties; `data` goes to the dataset
 * @param {...(Node | string | null)} children
 */
export function element(name, { data = {}, ...properties } = {}, ...children) {
  const node = Object.assign(document.createElement(name), properties);
  for (const [key, value] of Object.entries(data)) if (value !== null && value !== undefined) node.dataset[key] = value;
  node.append(...children.filter((child) => child !== null));
  return node;
}

/** Publishers' names and titles, kept from turning the text around them by bidi marks. */
export const isolated = (text, className = '') => element('bdi', { className }, text);

/** Sets text only when it differs, so that live regions and selections are left alone. */
export function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

/** Reads out what changed, without moving anyone's focus. */
export function announce(words) {
  byId('announcer').append(element('p', {}, words));
  while (byId('announcer').childElementCount > 5) byId('announcer').firstElementChild.remove();
}

/** `opening_statements`, `OPENING` and `Opening Statements` all come by; the last is as its author wants it. */
export function spelled(name) {
  const words = name.includes(' ') ? name : name.replace(/[_-]+/g, ' ').trim();
  return words === words.toLowerCase() || (words === words.toUpperCase() && words.length > 3)
    ? words.charAt(0).toUpperCase() + words.slice(1).toLowerCase() : words;
}

export function clockTime(ms) {
  const seconds = Math.floor(ms / 1000);
  const pad = (value) => String(value).padStart(2, '0');
  const [h, m, s] = [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60, seconds % 60];
  return h > 0 ? `${h}:${pad(m)}:${pad(s)}` : `${m}:${pad(s)}`;
}

export function ago(at, now = Date.now()) {
  const minutes = Math.round((now - at) / 60_000);
  const format = new Intl.RelativeTimeFormat('en', { numeric: 'auto' });
  if (minutes < 1) return 'just now';
  if (minutes < 60) return format.format(-minutes, 'minute');
  return minutes < 36 * 60 ? format.format(-Math.round(minutes / 60), 'hour') : format.format(-Math.round(minutes / 1440), 'day');
}

export const counted = (count, one, many = `${one}s`) => `${count.toLocaleString('en')} ${count === 1 ? one : many}`;

export const STATUS_WORDS = { waiting: 'Waiting', live: 'Live', paused: 'Paused', completed: 'Ended', closed: 'Disconnected' };
