/** What befalls a page: sleep and waking, a lost network, the way back to it. */

import type { StreamOptions } from './types.js';

export interface Follower {
  /** Connects anew. */
  again(): void;
  /** Lets go of the connection until `again`. */
  leave(): void;
  /** Looks whether the connection died without a word. */
  check(hasSlept: boolean): void;
}

/** @returns how to stop watching */
export function watchPage(staleAfterMs: number, options: StreamOptions, { again, leave, check }: Follower): () => void {
  const page = new AbortController();
  const whileWatched = { signal: page.signal };
  let tickAt = Date.now();
  const ticking = setInterval(() => {
    // Browsers let the timers of a hidden page run once a minute: that is no sleep, and three times 35 s is more.
    check(Date.now() - tickAt > staleAfterMs * 3);
    tickAt = Date.now();
  }, staleAfterMs / 4);
  if (globalThis.document) {
    addEventListener('online', again, whileWatched);
    // A page with an open connection is not kept for the way back.
    addEventListener('pagehide', leave, whileWatched);
    addEventListener('pageshow', ({ persisted }) => { if (persisted) again(); }, whileWatched);
    document.addEventListener('visibilitychange', () => {
      if (options.pauseWhenHidden) (document.hidden ? leave : again)();
      else if (!document.hidden) check(true);
    }, whileWatched);
  }
  return () => {
    clearInterval(ticking);
    page.abort();
  };
}

/** Whether nobody looks, and so nobody is to be connected. */
export const isAway = ({ pauseWhenHidden }: StreamOptions): boolean | undefined => pauseWhenHidden && globalThis.document?.hidden;

/** Whether the tabs of this browser should share a connection: over HTTP/1.1 it opens no more than six. */
export function mayShare({ shareTabs = 'auto', token }: StreamOptions): boolean {
  if (!shareTabs || token || !globalThis.document || !navigator.locks) return false;
  const [page] = performance.getEntriesByType('navigation') as PerformanceNavigationTiming[];
  return shareTabs === true || !/^h[23]/.test(page?.nextHopProtocol ?? 'h2');
}
