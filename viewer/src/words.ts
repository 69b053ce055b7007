/** Words and numbers for people. */

export type Kind = 'debate' | 'conversation';

/** `opening_statements`, `OPENING` and `Opening Statements` all come by; the last is as its author wants it. */
export function spelled(name: string): string {
  const words = name.includes(' ') ? name : name.replace(/[_-]+/g, ' ').trim();
  return words === words.toLowerCase() || (words === words.toUpperCase() && words.length > 3)
    ? words.charAt(0).toUpperCase() + words.slice(1).toLowerCase() : words;
}

export function clockTime(ms: number): string {
  const seconds = Math.max(0, Math.floor(ms / 1000));
  const pad = (value: number) => String(value).padStart(2, '0');
  const [h, m, s] = [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60, seconds % 60];
  return h > 0 ? `${h}:${pad(m)}:${pad(s)}` : `${m}:${pad(s)}`;
}

const RELATIVE = new Intl.RelativeTimeFormat('en', { numeric: 'auto' });

export function ago(at: number, now: number): string {
  const minutes = Math.round((now - at) / 60_000);
  if (minutes < 1) return 'just now';
  if (minutes < 60) return RELATIVE.format(-minutes, 'minute');
  return minutes < 36 * 60 ? RELATIVE.format(-Math.round(minutes / 60), 'hour') : RELATIVE.format(-Math.round(minutes / 1440), 'day');
}

export const counted = (count: number, one: string, many = `${one}s`) => `${count.toLocaleString('en')} ${count === 1 ? one : many}`;

/** Up to two letters that stand for a name. */
export function initials(name: string): string {
  const words = name.split(/[^\p{L}\p{M}]+/u).filter(Boolean);
  const [first, last] = [words[0] ?? '?', words.at(-1) ?? '?'];
  const letter = (word: string) => ([...word][0] ?? '?').toUpperCase();
  return first === last ? letter(first) : letter(first) + letter(last);
}

export const STATUS_WORDS: Record<string, string> = {
  connecting: 'Connecting', 'catching-up': 'Catching up', waiting: 'Waiting', live: 'Live', paused: 'Paused',
  completed: 'Ended', replay: 'Replay', reconnecting: 'Reconnecting', refused: 'Refused', closed: 'Disconnected',
};
