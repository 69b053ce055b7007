/** Tabs that share a connection, in a browser whose locks and channels do as they are told. */

import { afterEach, beforeEach, expect, test, vi } from 'vitest';

import { type DebateState, type Link, type States, type StreamEvent, fold, initialState } from '../src/index.js';
import { type Member, joinTabs } from '../src/tabs.js';
import { EPOCH, said, snapshot } from './support.js';

/** Longer than anybody's patience with a silent leader. */
const LONG = 10_001;

let channels: FakeChannel[] = [];

class FakeChannel {
  onmessage: ((event: { data: unknown }) => void) | null = null;
  constructor(readonly name: string) { channels.push(this); }
  postMessage(message: unknown): void {
    const data = structuredClone(message);
    for (const other of channels.filter((one) => one !== this && one.name === this.name)) queueMicrotask(() => { if (channels.includes(other)) other.onmessage?.({ data }); });
  }
  close(): void { channels = channels.filter((one) => one !== this); }
}

class FakeLocks {
  asked = 0;
  refusal: DOMException | null = null;
  /** Those who lost a lock and do not know it yet: a frozen page is told when it wakes. */
  untold: (() => void)[] | null = null;
  #holder: { reject: (error: DOMException) => void } | null = null;
  #waiting: (() => void)[] = [];

  request(_: string, { steal, signal }: LockOptions, callback: () => Promise<void> | undefined): Promise<void> {
    this.asked += 1;
    // A browser would refuse for ever, and this process would never come to an end.
    if (this.refusal) return this.asked < 50 ? Promise.reject(this.refusal) : new Promise(() => {});
    return new Promise((resolve, reject) => {
      const grant = (): void => {
        const mine = this.#holder = { reject };
        void Promise.resolve(callback()).then(() => {
          resolve();
          if (this.#holder === mine) this.#holder = null;
          this.#next();
        });
      };
      if (steal) {
        const tell = this.#holder?.reject.bind(null, new DOMException('stolen', 'AbortError'));
        if (tell) this.untold ? this.untold.push(tell) : tell();
        grant();
        return;
      }
      this.#waiting.push(grant);
      signal?.addEventListener('abort', () => {
        this.#waiting = this.#waiting.filter((one) => one !== grant);
        reject(new DOMException('left', 'AbortError'));
      });
      queueMicrotask(() => this.#next());
    });
  }

  #next(): void { if (!this.#holder) this.#waiting.shift()?.(); }
}

let locks: FakeLocks;
let opened: { leave(): void }[] = [];

function openTab(state: DebateState = initialState('debate')) {
  let link: Link = { status: 'connecting', error: null, attempt: 0, nextRetryAt: null };
  const heard: string[] = [];
  const member = {
    dial: vi.fn(), disconnect: vi.fn(), now: () => state as States['debate' | 'conversation'], link: () => link,
    hear(event: StreamEvent) { heard.push(event.type); state = fold(state, event); }, set(change: Link) { link = { ...link, ...change }; },
  } satisfies Member;
  const tabs = joinTabs('d', member);
  opened.push(tabs);
  return {
    ...member, tabs, heard, now: () => state, texts: () => state.utterances.map(({ content }) => content),
    /** The server tells the tab that is connected. */
    receive(...events: StreamEvent[]) {
      for (const event of events) {
        member.hear(event);
        tabs.tell({ event });
      }
    },
  };
}

const at = (seq: number): string => `${EPOCH}-${seq}`;
const hello: StreamEvent = { type: 'connected', data: { clientId: 'c' }, id: null };
const utterance = (seq: number): StreamEvent => ({ type: 'utterance', data: said('Pro', `${seq}`), id: at(seq) });
const edge = (seq: number, more: object = {}): StreamEvent => ({ type: 'snapshot', data: snapshot(more), id: at(seq) });
const token = (text: string): StreamEvent => ({ type: 'token', data: { speaker: 'Con', token: text }, id: null });
const settle = (ms = 0): Promise<unknown> => vi.advanceTimersByTimeAsync(ms);

beforeEach(() => {
  vi.useFakeTimers();
  channels = [];
  locks = new FakeLocks();
  vi.stubGlobal('BroadcastChannel', FakeChannel);
  vi.stubGlobal('navigator', { locks });
});

afterEach(() => {
  for (const tabs of opened.splice(0)) tabs.leave();
  vi.unstubAllGlobals();
  vi.useRealTimers();
});

test('one connects; who comes later is told all, and takes over when the first has gone', async () => {
  const first = openTab();
  await settle();
  first.receive(hello, utterance(1), edge(1, { open: [{ participant: 'Con', persona: null, name: 'Con', segment: null, text: 'So' }] }));
  const second = openTab();
  await settle();
  expect([first.dial, second.dial].map(({ mock }) => mock.calls.length)).toEqual([1, 0]);
  first.receive(token(' be it'));
  await settle();
  expect(second.texts()).toEqual(['1']);
  expect(second.now()).toMatchObject({ caughtUp: true, lastEventId: at(1), live: { text: 'So be it' } });
  first.tabs.leave();
  await settle();
  expect(second.dial).toHaveBeenCalledOnce();
});

test('a tab that is told once more of a beginning that the server no longer keeps doubles nothing', async () => {
  const leader = openTab();
  await settle();
  leader.receive(hello, { type: 'gap', data: { requested: 'earliest', reason: 'expired', missed: 5 }, id: at(5) }, utterance(6), utterance(7), edge(7));
  const follower = openTab();
  await settle();
  expect(follower.texts()).toEqual(['6', '7']);
  const { events } = follower.now();
  follower.tabs.open(); // as when it comes online again
  await settle();
  expect(follower.texts()).toEqual(['6', '7']);
  expect(follower.now()).toMatchObject({ events, lastEventId: at(7), gap: { missed: 5 } });
});

test('a tab that is told once more of a stream that has begun anew hears nothing twice', async () => {
  const leader = openTab();
  await settle();
  leader.receive(hello, { type: 'gap', data: { requested: 'zzzzzzzz-9', reason: 'unknown', missed: null }, id: at(0) }, utterance(1), utterance(2), edge(2));
  const follower = openTab();
  await settle();
  const told = (): string[] => follower.heard.filter((type) => ['utterance', 'gap'].includes(type));
  expect(told()).toEqual(['gap', 'utterance', 'utterance']);
  follower.tabs.open();
  await settle();
  expect(told()).toEqual(['gap', 'utterance', 'utterance']);
  expect(follower.texts()).toEqual(['1', '2']);
});

test('a leader that was frozen and lost its place meanwhile is not listened to', async () => {
  const frozen = openTab();
  await settle();
  const [second, third] = [openTab(), openTab()];
  await settle();
  frozen.receive(hello, edge(1));
  await settle();
  locks.untold = [];
  const answers = channels[0]!.onmessage;
  channels[0]!.onmessage = null;
  second.tabs.check();
  await settle(LONG);
  expect(second.dial).toHaveBeenCalledOnce();
  second.receive(hello, edge(1, { open: [{ participant: 'Con', persona: null, name: 'Con', segment: null, text: 'once' }] }));
  await settle();
  frozen.receive(token('once')); // it wakes, and reads what had come in
  await settle();
  expect(third.now().live?.text).toBe('once');
  channels[0]!.onmessage = answers;
  for (const tell of locks.untold.splice(0)) tell();
  await settle();
  expect(frozen.disconnect).toHaveBeenCalledOnce();
  second.receive(token(' more'));
  await settle();
  for (const tab of [frozen, third]) expect(tab.now().live?.text).toBe('once more');
});

test('a tab that has missed what the leader never heard asks the server itself, and nothing is missing', async () => {
  const leader = openTab();
  await settle();
  leader.receive(hello, edge(10)); // `from: 'now'`
  const back = openTab([hello, utterance(7), utterance(8)].reduce(fold<DebateState>, initialState('debate')));
  await settle();
  expect(back.dial, 'nobody else can tell it 9 and 10').toHaveBeenCalledOnce();
  expect(leader.disconnect).toHaveBeenCalledOnce();
  back.receive(hello, utterance(9), utterance(10), edge(10), utterance(11));
  await settle();
  expect(back.texts()).toEqual(['7', '8', '9', '10', '11']);
  expect(leader.texts()).toEqual(['11']);
  expect(leader.dial).toHaveBeenCalledOnce();
});

test('a page that is refused locks, as a sandboxed frame is, connects by itself, once', async () => {
  locks.refusal = new DOMException('no locks here', 'SecurityError');
  const { dial } = openTab();
  await settle(LONG);
  expect(dial).toHaveBeenCalledOnce();
  expect(locks.asked).toBe(1);
});
