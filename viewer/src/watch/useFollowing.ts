/**
 * Keeps the page at the live edge while its reader is there.
 *
 * Only the reader's own upward move lets go: growth moves nothing by itself, and drawing moves down.
 */

import { useCallback, useEffect, useLayoutEffect, useRef, useState } from 'react';
import type { StreamView } from '../stream/view.ts';

const NEAR_END_PX = 80;

const distanceToEnd = () => document.documentElement.scrollHeight - innerHeight - scrollY;

/**
 * @param starts where a page that opens is put: at the live edge, at the beginning, or (null) not yet
 */
export function useFollowing(view: StreamView, starts: boolean | null) {
  const [following, setFollowing] = useState<boolean | null>(null);
  const [unseen, setUnseen] = useState(0);
  const lastScroll = useRef(0);
  const counted = useRef(0);

  useEffect(() => {
    setFollowing((now) => now ?? starts);
  }, [starts]);

  const keepToEnd = useCallback(() => {
    scrollTo({ top: document.documentElement.scrollHeight, behavior: 'instant' });
    lastScroll.current = scrollY;
  }, []);

  useLayoutEffect(() => {
    if (following) keepToEnd();
  }, [following, view.entries, view.open, view.condition, keepToEnd]);

  useEffect(() => {
    const speeches = view.entries.filter((entry) => entry.kind === 'speech').length;
    const fresh = Math.max(0, speeches - counted.current);
    if (following === false) setUnseen((before) => before + fresh);
    else setUnseen(0);
    counted.current = speeches;
  }, [following, view.entries]);

  useEffect(() => {
    const note = () => {
      const up = scrollY < lastScroll.current;
      lastScroll.current = scrollY;
      setFollowing((now) => {
        if (now === null) return now;
        if (distanceToEnd() < NEAR_END_PX) return true;
        return up ? false : now;
      });
    };
    const refit = () => setFollowing((now) => {
      if (now) keepToEnd();
      return now;
    });
    addEventListener('scroll', note, { passive: true });
    addEventListener('resize', refit);
    return () => {
      removeEventListener('scroll', note);
      removeEventListener('resize', refit);
    };
  }, [keepToEnd]);

  const jump = useCallback(() => {
    setFollowing(true);
    keepToEnd();
  }, [keepToEnd]);
  /** Puts an entry at the top of the page, and stays there. */
  const show = useCallback((key: string) => {
    setFollowing(false);
    const node = document.getElementById(entryId(key));
    node?.scrollIntoView({ block: 'start' });
    node?.focus({ preventScroll: true });
  }, []);
  return { following, unseen, jump, show, setFollowing };
}

export const entryId = (key: string) => `entry-${key}`;
