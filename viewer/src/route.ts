/** Which view the address asks for, and changing it without loading the page again. */

import { useSyncExternalStore } from 'react';
import type { Kind } from './words.ts';

export type Route = { view: 'home' } | { view: 'operator' } | { view: 'watch'; kind: Kind; id: string };

export const watchUrl = (kind: Kind, id: string) => `/?${kind}=${encodeURIComponent(id)}`;
export const HOME_URL = '/';
export const OPERATOR_URL = '/#/operator';

const MOVED = 'clearside:moved';

function parse(search: string, hash: string): Route {
  if (hash === '#/operator') return { view: 'operator' };
  const query = new URLSearchParams(search);
  for (const kind of ['debate', 'conversation'] as const) {
    const id = query.get(kind);
    if (id) return { view: 'watch', kind, id };
  }
  return { view: 'home' };
}

let current: { address: string; route: Route } | null = null;

function now(): Route {
  const address = location.search + location.hash;
  if (current?.address !== address) current = { address, route: parse(location.search, location.hash) };
  return current.route;
}

function subscribe(changed: () => void): () => void {
  const moves = ['popstate', 'hashchange', MOVED];
  for (const move of moves) addEventListener(move, changed);
  return () => { for (const move of moves) removeEventListener(move, changed); };
}

export const useRoute = () => useSyncExternalStore(subscribe, now, () => ({ view: 'home' }) as const);

export function go(url: string): void {
  history.pushState(null, '', url);
  scrollTo(0, 0);
  dispatchEvent(new Event(MOVED));
}

/** Links to our own views change the view in place; any other click is the browser's. */
export function followLink(event: MouseEvent): void {
  if (event.defaultPrevented || event.button !== 0 || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
  const link = event.target instanceof Element ? event.target.closest('a[href]') : null;
  if (!(link instanceof HTMLAnchorElement) || link.origin !== location.origin || link.pathname !== location.pathname || link.hash === '#main') return;
  event.preventDefault();
  go(link.href);
}
