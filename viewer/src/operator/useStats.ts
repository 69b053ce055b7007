/** What the server says of itself, asked every two seconds, and what follows from two answers. */

import { useEffect, useState } from 'react';
import { isReady, KINDS, Lists, refusalOf, stats, type Listed } from '../api.ts';
import type { Kind } from '../words.ts';

const INTERVAL_MS = 2_000;
const SAMPLES_MAX = 150;
export const SAMPLES_A_MINUTE = 60_000 / INTERVAL_MS;
const STREAMS_MAX = 100;

export interface KindStats { count: number; clients: number; behind: number; active: number }

export interface ServerStats {
  debates: KindStats;
  conversations: KindStats;
  /** Totals since the server started. */
  totals?: {
    connections: number;
    refusals: Record<string, number>;
    disconnects: Record<string, number>;
    events: number;
    transientEvents: number;
    catchUps: number;
    fellBehind: number;
    gaps: number;
    /** Publishes, by the power of two of milliseconds that they took less than. */
    publishMs: Record<string, number>;
  };
}

export interface Sample {
  readonly followers: number;
  readonly streams: number;
  readonly behind: number;
  readonly events: number;
  readonly tokens: number;
  readonly connections: number;
  readonly catchUps: number;
  /** What the slowest publish since the sample before took less than; none if there was no publish. */
  readonly slowestMs: number | null;
}

export interface Row extends Listed {
  readonly kind: Kind;
  /** Stored events a second, by the difference of their ids. */
  readonly rate: number | null;
  /** How many are stored. */
  readonly events: number;
}

export interface Figures {
  readonly stats: ServerStats | null;
  /** null: the lists are not open to whoever looks. */
  readonly rows: readonly Row[] | null;
  readonly samples: readonly Sample[];
  readonly ready: boolean | null;
  readonly problem: string | null;
  readonly forbidden: boolean;
}

const NOTHING: Figures = { stats: null, rows: [], samples: [], ready: null, problem: null, forbidden: false };

/** What this part of all publishes took less than, in milliseconds; none if there are none. */
export function timeOf(part: number, publishMs: Record<string, number>): number | null {
  const times = Object.entries(publishMs).map(([under, count]) => [Number(under), count] as const).sort(([a], [b]) => a - b);
  const wanted = part * times.reduce((sum, [, count]) => sum + count, 0);
  let reached = 0;
  for (const [under, count] of times) {
    reached += count;
    if (count > 0 && reached >= wanted) return under;
  }
  return null;
}

const seqOf = (id: string | null) => Number(id?.split('-')[1] ?? 0);
const epochOf = (id: string | null) => id?.split('-')[0];

export function useStats(): Figures {
  const [figures, setFigures] = useState(NOTHING);
  useEffect(() => {
    const leave = new AbortController();
    const lists = new Lists();
    const read = async (kind: Kind) => (await lists.read(kind, { limit: STREAMS_MAX })).streams.map((stream) => ({ ...stream, kind }));
    let timer = 0;
    let asked = 0;
    const ask = async () => {
      try {
        const [now, ready, ...streams] = await Promise.all([stats<ServerStats>(leave.signal), isReady(leave.signal), ...KINDS.map(read)]);
        const at = performance.now(); // no clock that somebody may set
        const elapsed = asked === 0 ? null : (at - asked) / 1000;
        asked = at;
        if (leave.signal.aborted) return;
        setFigures((before) => next(before, now, ready, elapsed, lists.refusal === null ? streams.flat() : null));
      } catch (error) {
        if (leave.signal.aborted) return;
        const refusal = refusalOf(error);
        setFigures((before) => ({ ...before, ready: null, problem: refusal.message, forbidden: refusal.isForbidden }));
        if (refusal.isForbidden) return; // nor will they be opened to the same token
      }
      if (!leave.signal.aborted) timer = window.setTimeout(ask, INTERVAL_MS);
    };
    void ask();
    return () => {
      leave.abort();
      clearTimeout(timer);
    };
  }, []);
  return figures;
}

function next(before: Figures, now: ServerStats, ready: boolean, elapsed: number | null, streams: (Listed & { kind: Kind })[] | null): Figures {
  const known = new Map(before.rows?.map((row) => [`${row.kind}/${row.id}`, row]));
  const rows = streams?.map((stream): Row => {
    const last = known.get(`${stream.kind}/${stream.id}`);
    const events = seqOf(stream.lastEventId);
    const comparable = elapsed !== null && last !== undefined && epochOf(last.lastEventId) === epochOf(stream.lastEventId);
    return { ...stream, events, rate: comparable ? Math.max(0, events - last.events) / elapsed : null };
  }).sort((a, b) => Number(a.status === 'completed') - Number(b.status === 'completed') || b.subscribers - a.subscribers || (b.lastActivityAt ?? 0) - (a.lastActivityAt ?? 0)) ?? null;
  const [totals, then] = [now.totals, before.stats?.totals];
  // A total that is smaller than it was is another server's: there is no rate between the two.
  const rate = (key: 'events' | 'transientEvents' | 'connections' | 'catchUps') =>
    (totals && then && elapsed && totals[key] >= then[key] ? (totals[key] - then[key]) / elapsed : 0);
  const isSameServer = totals !== undefined && then !== undefined && totals.events >= then.events;
  const ofLate = isSameServer ? Object.entries(totals.publishMs).map(([under, count]) => [under, count - (then.publishMs[under] ?? 0)]) : [];
  const sample: Sample = {
    followers: now.debates.clients + now.conversations.clients, streams: now.debates.count + now.conversations.count,
    behind: now.debates.behind + now.conversations.behind,
    events: rate('events'), tokens: rate('transientEvents'), connections: rate('connections'), catchUps: rate('catchUps'),
    slowestMs: timeOf(1, Object.fromEntries(ofLate)),
  };
  return { stats: now, rows, samples: [...before.samples, sample].slice(-SAMPLES_MAX), ready, problem: null, forbidden: false };
}
