/** What there is to watch, of both kinds, kept fresh while somebody looks. */

import { useCallback, useEffect, useState } from 'react';
import { KINDS, Lists, refusalOf, type Listed } from '../api.ts';
import type { Kind } from '../words.ts';

const REFRESH_MS = 3_000;
const REFRESH_FAILED_MS = 10_000;

export interface Item extends Listed { readonly kind: Kind }

interface Listing {
  /** null: not told yet. Running ones first, then the newest. */
  readonly items: readonly Item[] | null;
  readonly problem: string | null;
  readonly more: (() => void) | null;
}

const runningThenNewest = (a: Item, b: Item) =>
  Number(a.status === 'completed') - Number(b.status === 'completed') || (b.createdAt ?? 0) - (a.createdAt ?? 0);

export function useListing(): Listing {
  const [streams, setStreams] = useState<ReadonlyMap<string, Item> | null>(null);
  const [next, setNext] = useState<Partial<Record<Kind, string>>>({});
  const [problem, setProblem] = useState<string | null>(null);
  const lists = useState(() => new Lists())[0];

  const take = useCallback((kind: Kind, listed: readonly Listed[]) => setStreams((before) => {
    const all = new Map(before);
    for (const stream of listed) all.set(`${kind}/${stream.id}`, { ...stream, kind });
    return all;
  }), []);

  useEffect(() => {
    let timer = 0;
    let left = false;
    const begun = new Set<Kind>();
    const refresh = async () => {
      clearTimeout(timer);
      let failed: string | null = null;
      await Promise.all(KINDS.map(async (kind) => {
        try {
          const page = await lists.read(kind);
          if (left || lists.refused.has(kind)) return;
          take(kind, page.streams);
          // The first page comes again and again; only the furthest page knows where the list goes on.
          if (!begun.has(kind) && page.next !== null) setNext((before) => ({ ...before, [kind]: page.next! }));
          begun.add(kind);
        } catch (error) {
          failed = `${refusalOf(error).message} Looking again in a few seconds.`;
        }
      }));
      if (left) return;
      setProblem(lists.refusal ?? failed);
      // Nobody looks at a hidden tab: it asks again when it is seen.
      if (!document.hidden && lists.refusal === null) timer = window.setTimeout(refresh, failed ? REFRESH_FAILED_MS : REFRESH_MS);
    };
    const seen = () => { if (!document.hidden) void refresh(); };
    document.addEventListener('visibilitychange', seen);
    void refresh();
    return () => {
      left = true;
      clearTimeout(timer);
      document.removeEventListener('visibilitychange', seen);
    };
  }, [lists, take]);

  const more = useCallback(() => {
    for (const kind of KINDS) {
      const before = next[kind];
      if (before === undefined) continue;
      lists.read(kind, { before }).then((page) => {
        take(kind, page.streams);
        setNext(({ [kind]: _, ...rest }) => (page.next === null ? rest : { ...rest, [kind]: page.next }));
      }, (error: unknown) => setProblem(refusalOf(error).message));
    }
  }, [lists, next, take]);

  return { items: streams && [...streams.values()].sort(runningThenNewest), problem, more: Object.keys(next).length > 0 ? more : null };
}
