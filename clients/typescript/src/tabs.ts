/**
 * One connection for all tabs: who holds a Web Lock connects, and tells the others over a BroadcastChannel.
 *
 * A tab that joins asks for what the leader knows. The messages of one sender keep their order, so what
 * comes after the answer is what happened after it.
 */

import type { Kind, Link, States, StreamEvent } from './types.js';

/** What a tab brings into the group: its side of a connection. */
export interface Member {
  /** This tab is to connect. */
  dial(): void;
  /** Another tab has taken over. */
  disconnect(): void;
  now(): States[Kind];
  link(): Link;
  hear(event: StreamEvent): void;
  set(link: Link): void;
}

export interface Tabs {
  /** Connects anew: by itself, or by asking the leader. */
  open(): void;
  /** A follower asks whether the leader is still there. */
  check(): void;
  /** The leader tells the others. */
  tell(news: { event: StreamEvent } | { link: Link }): void;
  leave(): void;
}

type Message =
  | { ask: 'state' | 'life'; from: string }
  | { by: string } & ({ to: string; state: States[Kind]; link: Link } | { event: StreamEvent } | { link: Link } | { lead: true });

/** How long a leader may stay silent. A tab that is frozen keeps its lock. */
const PATIENCE_MS = 5_000;

export function joinTabs(name: string, member: Member): Tabs {
  const me = Math.random().toString(36);
  const channel = new BroadcastChannel(name);
  const left = new AbortController();
  let isLeader = false;
  let isHeard = false; // by some other tab
  /** Whom this tab listens to. One that was frozen does not know yet that it leads no more. */
  let leader: string | null = null;
  let isInformed = false;
  let patience: ReturnType<typeof setTimeout> | undefined;

  const post = (message: Message): void => channel.postMessage(message);

  function ask(what: 'state' | 'life'): void {
    if (isLeader) return;
    post({ ask: what, from: me });
    // Tabs that wake together should not all take over.
    patience ??= setTimeout(() => queue(true), PATIENCE_MS * (1 + Math.random()));
  }

  function calm(): void {
    clearTimeout(patience);
    patience = undefined;
  }

  function queue(steal: boolean): void {
    const held = navigator.locks.request(name, steal ? { steal } : { signal: left.signal }, () => {
      if (left.signal.aborted) return undefined;
      isLeader = true;
      calm();
      post({ by: me, lead: true });
      member.dial();
      return new Promise<void>((release) => left.signal.addEventListener('abort', () => release()));
    });
    held.catch((error: unknown) => {
      if (left.signal.aborted) return;
      if ((error as DOMException).name !== 'AbortError') { // as in a sandboxed frame, which has no locks: each for itself
        isLeader = true;
        calm();
        member.dial();
        return;
      }
      // The lock was stolen.
      isLeader = isInformed = false;
      leader = null;
      member.disconnect();
      queue(false);
      ask('state');
    });
  }

  /** What a leader does for the others. */
  function answer(what: 'state' | 'life', from: string): void {
    isHeard = true;
    if (what === 'life') post({ by: me, link: member.link() });
    else {
      post({ by: me, to: from, state: member.now(), link: member.link() });
      if (member.link().nextRetryAt) member.dial(); // whoever asks does not want to wait
    }
  }

  channel.onmessage = ({ data }: MessageEvent<Message>) => {
    if ('from' in data) {
      if (isLeader) answer(data.ask, data.from);
      return;
    }
    if (isLeader) return;
    calm();
    if ('lead' in data) {
      leader = data.by;
      isInformed = false;
      ask('state');
    } else if ('to' in data) {
      if (data.to !== me || data.by !== (leader ?? data.by)) return;
      leader = data.by;
      if (!connects(member.now().lastEventId, data.state)) {
        queue(true);
        return;
      }
      isInformed = true;
      catchUp(member, data.state);
      member.set(data.link);
    } else if (data.by !== leader) {
      if (!('link' in data)) return;
      leader = null;
      ask('state');
    } else if (isInformed) {
      if ('event' in data) member.hear(data.event);
      else member.set(data.link);
    }
  };

  queue(false);
  ask('state');
  return {
    open() {
      if (isLeader) member.dial();
      else ask('state');
    },
    check: () => ask('life'),
    tell(news) { if (isLeader && isHeard) post({ by: me, ...news }); },
    leave() {
      left.abort();
      calm();
      channel.close();
    },
  };
}

/**
 * Whether a tab that has come as far as this misses nothing by what the leader knows: that may begin later,
 * as with `from: 'now'`. If it does not, only the server can tell the rest.
 */
function connects(mine: string | null, { events, lastEventId }: States[Kind]): boolean {
  const [epoch, seq] = (mine ?? '').split('-'); // `fold.ts` does so, too, but whoever needs both would load it by itself
  const [itsEpoch, itsSeq] = (lastEventId ?? '').split('-');
  return !seq || (epoch === itsEpoch && Number(itsSeq) <= Number(seq))
    || events.some(({ type, id }) => type === 'gap' || id === mine || id === `${epoch}-${Number(seq) + 1}`);
}

/** Tells a tab what the leader knows, in the words of the server: greeting, replay, snapshot. */
function catchUp(member: Member, state: States[Kind]): void {
  const { kind, clientId, stage, title, phase, summary, turnCount, followers, turns, speaker, lastEventId: id } = state;
  member.hear({ type: kind === 'debate' ? 'connected' : 'connection_established', data: { clientId }, id: null });
  const mine = member.now().lastEventId;
  for (const event of state.events.slice(state.events.findLastIndex((known) => known.id === mine) + 1)) member.hear(event);
  // Who knows more than the leader waits for the snapshot that the leader is about to get.
  if (!state.caughtUp || ![null, 'earliest', id].includes(member.now().lastEventId)) return;
  const open = turns.map(({ speaker: name, ...turn }) => ({ name, ...turn }));
  const name = typeof speaker === 'object' ? speaker?.name ?? null : speaker;
  member.hear({ type: 'snapshot', id, data: { status: stage, title, phase, summary, turnCount, subscribers: followers, open, speaker: name } });
}
