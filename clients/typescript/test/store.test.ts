import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';

import { type StreamOptions, openStream } from '../src/index.js';
import { EPOCH, FakeAnswer, FakeSource, asSource, fakeServer, said } from './support.js';

/** Longer than a connection outlives its last follower. */
const LINGER = 300;

let number = 0;
const followed: (() => void)[] = [];

/** Lets time go by, and what is loaded on demand be loaded. */
async function pass(ms: number): Promise<void> {
  await vi.dynamicImportSettled();
  await vi.advanceTimersByTimeAsync(ms);
  await vi.dynamicImportSettled();
  await vi.advanceTimersByTimeAsync(0);
}

/** A debate of its own, and who follows it. */
function follow(options: StreamOptions = {}) {
  number += 1;
  const stream = openStream('debate', `d${number}`, { EventSource: asSource, ...options });
  const changed = vi.fn();
  const leave = stream.subscribe(changed);
  followed.push(leave);
  return { stream, changed, leave, id: `d${number}`, now: () => stream.getSnapshot() };
}

beforeEach(() => {
  vi.useFakeTimers();
  FakeSource.opened = [];
});

afterEach(async () => {
  for (const leave of followed.splice(0)) leave();
  await pass(LINGER);
  expect(FakeSource.live, 'a connection was left open').toEqual([]);
  vi.useRealTimers();
  vi.restoreAllMocks();
});

describe('one connection', () => {
  test('opens when somebody follows, from the beginning, and not before', () => {
    const stream = openStream('debate', 'a b', { EventSource: asSource, baseUrl: 'https://hub.example' });
    expect(FakeSource.opened).toEqual([]);
    expect(stream.getSnapshot()).toMatchObject({ status: 'idle', isConnected: false, utterances: [] });
    followed.push(stream.subscribe(() => {}));
    expect(FakeSource.last.url).toBe('https://hub.example/api/debates/a%20b/stream?lastEventId=earliest');
    expect(stream.getSnapshot().status).toBe('connecting');
  });

  test.each([['now', ''], [{ lastEventId: 'k3v9x2a7-4' }, '?lastEventId=k3v9x2a7-4']] as const)('from %j begins there', (from, query) => {
    follow({ from });
    expect(String(FakeSource.last.url)).toMatch(/stream(\?.*)?$/);
    expect(new URL(String(FakeSource.last.url), 'http://x').search).toBe(query);
  });

  test('serves all who follow the same stream, and outlives the last of them a little', async () => {
    const { id, leave } = follow();
    const other = openStream('debate', id, { EventSource: asSource });
    const leaveOther = other.subscribe(() => {});
    expect(FakeSource.opened).toHaveLength(1);
    FakeSource.last.greet();
    FakeSource.last.edge(1);
    await pass(20);
    expect(other.getSnapshot().status).toBe('open');
    leave();
    leaveOther();
    leaveOther();
    await pass(100);
    const leaveAgain = other.subscribe(() => {});
    await pass(LINGER);
    expect(FakeSource.opened, 'it was still open').toHaveLength(1);
    leaveAgain();
    await pass(LINGER);
    expect(FakeSource.live).toHaveLength(0);
    expect(other.getSnapshot().status).toBe('idle');
  });

  test('goes through connecting, catching up and open', async () => {
    const { now } = follow();
    const seen = [now().status];
    FakeSource.last.greet('me');
    await pass(20);
    seen.push(now().status);
    FakeSource.last.emit('utterance', said('Pro', 'a'), 1);
    FakeSource.last.edge(1, { phase: 'opening' });
    await pass(20);
    seen.push(now().status);
    expect(seen).toEqual(['connecting', 'catching_up', 'open']);
    expect(now()).toMatchObject({ isConnected: true, clientId: 'me', currentPhase: 'opening', lastEventId: `${EPOCH}-1`, attempt: 0 });
  });
});

describe('what is heard', () => {
  test('any number of tokens in a frame is one change', async () => {
    const { changed, now } = follow();
    FakeSource.last.greet();
    FakeSource.last.edge(1);
    await pass(20);
    changed.mockClear();
    for (let token = 0; token < 500; token += 1) FakeSource.last.emit('token', { speaker: 'Pro', token: 'x' });
    expect(changed).not.toHaveBeenCalled();
    await pass(20);
    expect(changed).toHaveBeenCalledTimes(1);
    expect(now().live?.text).toHaveLength(500);
  });

  test('handlers are called at once, with ids that are the event’s own, and not for repeats', () => {
    const { stream } = follow();
    const utterance = vi.fn();
    const token = vi.fn();
    followed.push(stream.on('utterance', utterance), stream.on('token', token));
    const source = FakeSource.last;
    source.greet();
    source.emit('utterance', said('Pro', 'a'), 1);
    source.edge(1);
    source.emit('token', { speaker: 'Pro', token: 'b' });
    source.drop();
    source.greet();
    source.emit('utterance', said('Pro', 'a'), 1);
    source.edge(1);
    expect(utterance.mock.calls).toEqual([[said('Pro', 'a'), `${EPOCH}-1`]]);
    expect(token.mock.calls).toEqual([[{ speaker: 'Pro', token: 'b' }, null]]);
  });

  test('a handler for a type of one’s own makes the EventSource listen for it', () => {
    const { stream } = follow();
    const note = vi.fn();
    followed.push(stream.on('note', note));
    expect(FakeSource.last.heard.has('note')).toBe(true);
    FakeSource.last.emit('note', [1], 1);
    expect(note).toHaveBeenCalledWith([1], `${EPOCH}-1`);
  });

  test('following by a handler alone keeps the connection', async () => {
    const stream = openStream('debate', 'handler-alone', { EventSource: asSource });
    const end = stream.on('utterance', () => {});
    expect(FakeSource.live).toHaveLength(1);
    end();
    await pass(LINGER);
    expect(FakeSource.live).toHaveLength(0);
  });

  test('a debate’s own error event is told apart from the connection’s', () => {
    const { stream, now } = follow();
    const failed = vi.fn();
    followed.push(stream.on('error', failed));
    FakeSource.last.greet();
    FakeSource.last.emit('error', { message: 'the model is overloaded' }, 1);
    expect(failed).toHaveBeenCalledWith({ message: 'the model is overloaded' }, `${EPOCH}-1`);
    expect(now().status).not.toBe('reconnecting');
  });

  test('no more utterances are kept than asked for', async () => {
    const { now } = follow({ maxUtterances: 2 });
    FakeSource.last.greet();
    for (const id of [1, 2, 3]) FakeSource.last.emit('utterance', said('Pro', `${id}`), id);
    await pass(20);
    expect(now().utterances.map(({ content }) => content)).toEqual(['2', '3']);
    expect(now().turnCount).toBe(3);
  });
});

describe('the end', () => {
  test('complete closes for good', async () => {
    const { stream, now } = follow();
    FakeSource.last.greet();
    FakeSource.last.edge(1);
    FakeSource.last.emit('complete', {}, 2);
    expect(now()).toMatchObject({ status: 'complete', stage: 'completed', isConnected: false });
    expect(FakeSource.live).toEqual([]);
    stream.reconnect();
    await pass(120_000);
    expect(FakeSource.opened).toHaveLength(1);
  });

  test('close() closes for everybody, and reconnect() goes on where it was', async () => {
    const { stream, now } = follow();
    FakeSource.last.greet();
    FakeSource.last.emit('utterance', said('Pro', 'a'), 1);
    stream.close();
    expect(now().status).toBe('closed');
    expect(FakeSource.live).toEqual([]);
    await pass(120_000);
    expect(FakeSource.opened).toHaveLength(1);
    stream.reconnect();
    expect(String(FakeSource.last.url)).toContain(`lastEventId=${EPOCH}-1`);
  });
});

test('who wants to hear everything opens nothing that was closed', async () => {
  const { fetch, requests } = fakeServer();
  const { id, stream, now } = follow({ fetch });
  stream.close();
  followed.push(openStream('debate', id, { EventSource: asSource, fetch, onEvent() {} }).subscribe(() => {}));
  await pass(20);
  expect(requests).toEqual([]);
  expect(now().status).toBe('closed');
});

describe('what followers do while they are told', () => {
  test('close(), called on a loss, is not undone by the next attempt', async () => {
    const { fetch, requests } = fakeServer();
    const { stream, now } = follow({ fetch, transport: 'fetch' });
    followed.push(stream.subscribe(() => { if (now().status === 'reconnecting') stream.close(); }));
    await pass(120_000);
    expect(now()).toMatchObject({ status: 'closed', nextRetryAt: null });
    expect(requests).toHaveLength(1);
  });

  test('close(), called as it is tried again, leaves nothing open', () => {
    const { stream, now } = follow();
    let times = 0;
    FakeSource.last.greet();
    followed.push(stream.subscribe(() => { if (now().status === 'reconnecting' && (times += 1) === 1) stream.close(); }));
    stream.reconnect();
    expect(now().status).toBe('closed');
    expect(FakeSource.live).toEqual([]);
  });

  test('a handler’s mistake is told to the page, and is none of the connection’s', async () => {
    const { fetch, requests, answers } = fakeServer();
    const answer = new FakeAnswer(200);
    answers.push(answer);
    const { stream, now } = follow({ fetch, transport: 'fetch' });
    followed.push(stream.on('utterance', () => { throw new Error('of the page'); }));
    await pass(20);
    answer.emit('connected', { clientId: 'c' });
    answer.emit('utterance', said('Pro', 'a'), 1);
    await expect(pass(20), 'the page is told').rejects.toThrow('of the page');
    expect(now()).toMatchObject({ status: 'catching_up', utterances: [{ content: 'a' }] });
    expect(requests).toHaveLength(1);
  });
});

describe('a lost EventSource', () => {
  test('comes back by itself, and only a second loss in a row is an error', async () => {
    const { now } = follow();
    FakeSource.last.greet();
    FakeSource.last.edge(1);
    FakeSource.last.drop();
    expect(now()).toMatchObject({ status: 'reconnecting', isConnected: false, error: null, attempt: 1 });
    FakeSource.last.drop();
    expect(now()).toMatchObject({ attempt: 2, error: { kind: 'network', retryable: true } });
    expect(FakeSource.opened).toHaveLength(1);
    FakeSource.last.greet();
    FakeSource.last.edge(1);
    await pass(20);
    expect(now()).toMatchObject({ status: 'open', error: null, attempt: 0 });
  });

  test('that finds the server busy says so', async () => {
    const { now } = follow();
    FakeSource.last.emit('busy', { message: 'there are too many connections' });
    FakeSource.last.drop();
    await pass(20);
    expect(now()).toMatchObject({ status: 'reconnecting', error: { kind: 'server' }, attempt: 1 });
    FakeSource.last.emit('busy', { message: 'there are too many connections' });
    FakeSource.last.drop();
    expect(now()).toMatchObject({ error: { kind: 'server' }, attempt: 2 });
    FakeSource.last.drop();
    expect(now()).toMatchObject({ error: { kind: 'network' }, attempt: 3 });
  });

  test('that a proxy’s 502 killed is opened again, further and further apart, where it was', async () => {
    const { fetch, requests, answers } = fakeServer();
    const { now } = follow({ fetch, retry: { minMs: 1_000, maxMs: 3_000, jitter: 0 } });
    FakeSource.last.greet();
    FakeSource.last.emit('utterance', said('Pro', 'a'), 1);
    FakeSource.last.edge(1);
    answers.push(new FakeAnswer(502), new FakeAnswer(502), new FakeAnswer(502), new FakeAnswer(200));
    const [, , , back] = answers;
    FakeSource.last.refuse();
    await pass(10);
    expect(now()).toMatchObject({ status: 'reconnecting', attempt: 1, error: { kind: 'http', status: 502, retryable: true } });
    const waits = [];
    for (const [attempt] of [1, 2, 3].entries()) {
      waits.push((now().nextRetryAt ?? 0) - Date.now());
      await pass(waits[attempt] ?? 0);
    }
    expect(waits.map((wait) => Math.round(wait / 100) * 100)).toEqual([1_000, 2_000, 3_000]);
    expect(new Set(requests.map(({ url }) => new URL(url, 'http://x').searchParams.get('lastEventId')))).toEqual(new Set([`${EPOCH}-1`]));
    back?.emit('connected', { clientId: 'c2' });
    back?.emit('utterance', said('Con', 'b'), 2);
    back?.emit('snapshot', { status: 'live', open: [], subscribers: 1 }, 2);
    await pass(20);
    expect(now()).toMatchObject({ status: 'open', error: null, attempt: 0, clientId: 'c2' });
    expect(now().utterances.map(({ content }) => content)).toEqual(['a', 'b']);

    back?.end();
    await pass(1_100);
    expect(FakeSource.opened, 'the browser has its EventSource back').toHaveLength(2);
    expect(String(FakeSource.last.url)).toContain(`lastEventId=${EPOCH}-2`);
  });

  test('that was told 204 does not come back', async () => {
    const { fetch, requests, answers } = fakeServer();
    const { now } = follow({ fetch, from: { lastEventId: `${EPOCH}-9` } });
    answers.push(new FakeAnswer(204));
    FakeSource.last.refuse();
    await pass(120_000);
    expect(now().status).toBe('complete');
    expect(requests).toHaveLength(1);
    expect(FakeSource.opened).toHaveLength(1);
  });

  test.each([[401, 'auth'], [403, 'auth'], [404, 'gone'], [410, 'gone'], [400, 'http']])('that was refused with %i fails, and reconnect() tries again', async (status, kind) => {
    const { fetch, requests, answers } = fakeServer();
    const { stream, now } = follow({ fetch });
    answers.push(new FakeAnswer(status));
    FakeSource.last.refuse();
    await pass(120_000);
    expect(now()).toMatchObject({ status: 'failed', error: { kind, status, retryable: false } });
    expect(requests).toHaveLength(1);
    answers.push(new FakeAnswer(200));
    stream.reconnect();
    await pass(20);
    expect(requests).toHaveLength(2);
  });

  test.each([[{ retry: false as const }, 1], [{ retry: { maxAttempts: 2 } }, 3]])('gives up as %j says', async (options, losses) => {
    const { now } = follow(options);
    FakeSource.last.greet();
    for (let loss = 1; loss < losses; loss += 1) FakeSource.last.drop();
    expect(now().status).toBe(losses === 1 ? 'connecting' : 'reconnecting');
    FakeSource.last.drop();
    expect(now()).toMatchObject({ status: 'failed', error: { kind: 'network', retryable: false } });
  });
});

describe('the transport over fetch', () => {
  test('sends a token, asked for anew each time, and hears every type', async () => {
    const { fetch, requests, answers } = fakeServer();
    const [first, second] = [new FakeAnswer(200), new FakeAnswer(200)];
    answers.push(first, second);
    let asked = 0;
    const onEvent = vi.fn();
    const { now } = follow({ fetch, token: async () => `t${asked += 1}`, onEvent, retry: { jitter: 0 } });
    await pass(20);
    expect(FakeSource.opened).toEqual([]);
    first.write('retry: 700\n\n');
    first.emit('connected', { clientId: 'c' });
    first.emit('something.new', [1], 1);
    first.emit('snapshot', { status: 'live', open: [], subscribers: 1 }, 1);
    first.write('event: token\ndata: {"speaker":"Pro",');
    first.write('"token":"Grü');
    first.write('ße"}\r\n\r\n');
    await pass(20);
    expect(now().live?.text).toBe('Grüße');
    expect(onEvent.mock.calls.map(([type, , id]) => [type, id]))
      .toEqual([['connected', null], ['something.new', `${EPOCH}-1`], ['snapshot', `${EPOCH}-1`], ['token', null]]);
    first.end();
    await pass(10);
    expect(now()).toMatchObject({ status: 'reconnecting', error: null });
    expect((now().nextRetryAt ?? 0) - Date.now(), 'as the server asked').toBeCloseTo(700, -2);
    await pass(720);
    expect(requests.map(({ headers }) => headers.get('Authorization'))).toEqual(['Bearer t1', 'Bearer t2']);
    expect(requests[1]?.url).toContain(`lastEventId=${EPOCH}-1`);
  });

  test('takes chance off each wait, so that not all come back at once', async () => {
    const { fetch, answers } = fakeServer();
    answers.push(new FakeAnswer(503));
    vi.spyOn(Math, 'random').mockReturnValue(0.5);
    const { now } = follow({ fetch, transport: 'fetch', retry: { minMs: 1_000, jitter: 0.5 } });
    await pass(5);
    expect((now().nextRetryAt ?? 0) - Date.now()).toBeCloseTo(750, -2);
  });

  test('notices when nothing is heard any more, not even heartbeats', async () => {
    const { fetch, requests, answers } = fakeServer();
    const first = new FakeAnswer(200);
    answers.push(first, new FakeAnswer(200));
    follow({ fetch, transport: 'fetch' });
    await pass(20);
    for (let beat = 0; beat < 8; beat += 1) {
      first.write(':heartbeat\n\n');
      await pass(15_000);
    }
    expect(requests).toHaveLength(1);
    await pass(45_000);
    expect(requests).toHaveLength(2);
    expect(first.aborted).toBe(true);
  });

  test('takes an answer that is no stream for a passing mistake', async () => {
    const { fetch, answers } = fakeServer();
    answers.push(new FakeAnswer(200, 'text/html'));
    const { now } = follow({ fetch, transport: 'fetch' });
    await pass(5);
    expect(now()).toMatchObject({ status: 'reconnecting', error: { kind: 'protocol', retryable: true } });
  });

  test('is chosen when somebody wants to hear every type, and keeps what there is', async () => {
    const { fetch, requests, answers } = fakeServer();
    answers.push(new FakeAnswer(200));
    const { id, now } = follow({ fetch });
    FakeSource.last.greet();
    FakeSource.last.emit('utterance', said('Pro', 'a'), 1);
    followed.push(openStream('debate', id, { EventSource: asSource, fetch, onEvent() {} }).subscribe(() => {}));
    await pass(20);
    expect(FakeSource.live).toEqual([]);
    expect(requests[0]?.url).toContain(`lastEventId=${EPOCH}-1`);
    expect(now().utterances).toHaveLength(1);
  });

  test('is the only one where there is no EventSource', async () => {
    const { fetch, requests } = fakeServer();
    const { leave } = follow({ fetch, EventSource: undefined as unknown as typeof EventSource });
    await pass(5);
    expect(requests).toHaveLength(1);
    leave();
  });
});

describe('silence', () => {
  test('of a conversation’s named heartbeat means a dead connection', async () => {
    const stream = openStream('conversation', 'silent', { EventSource: asSource });
    followed.push(stream.subscribe(() => {}));
    for (let beat = 0; beat < 8; beat += 1) {
      FakeSource.last.emit('connection_established', { type: 'heartbeat', sessionId: 'silent', timestamp: 1 });
      await pass(15_000);
    }
    expect(FakeSource.opened).toHaveLength(1);
    await pass(45_000);
    expect(FakeSource.opened).toHaveLength(2);
  });

  test('of a debate, whose heartbeats an EventSource hides, means nothing, unless this page has slept', async () => {
    follow();
    await pass(600_000);
    expect(FakeSource.opened).toHaveLength(1);
    vi.setSystemTime(Date.now() + 120_000); // as after sleep: no timer has run meanwhile
    await pass(10_000);
    expect(FakeSource.opened).toHaveLength(2);
    expect(FakeSource.live).toHaveLength(1);
  });
});

describe('a page that shares its connection with other tabs', () => {
  /** A browser with locks, none of which is free. */
  const names: string[] = [];
  beforeEach(() => {
    names.length = 0;
    vi.stubGlobal('document', new EventTarget());
    vi.stubGlobal('addEventListener', () => {});
    vi.stubGlobal('navigator', { locks: { request: () => new Promise(() => {}) } });
    vi.stubGlobal('BroadcastChannel', class {
      constructor(name: string) { names.push(name); }
      postMessage(): void {}
      close(): void {}
    });
  });
  afterEach(() => {
    vi.doUnmock('../src/tabs.js');
    vi.unstubAllGlobals();
  });

  test('is connecting until another tab answers, and can be closed meanwhile', async () => {
    const { stream, now } = follow({ shareTabs: true });
    expect(now().status).toBe('connecting');
    await pass(20);
    expect(now().status).toBe('connecting');
    now().close();
    expect(now().status).toBe('closed');
    stream.reconnect();
    expect(now().status).toBe('reconnecting');
  });

  test('asks no tab that begins elsewhere, or keeps less', async () => {
    for (const more of [{}, {}, { from: 'now' }, { maxUtterances: 20 }, { maxUtterances: 30 }] as const) {
      const leave = openStream('debate', 'same', { EventSource: asSource, shareTabs: true, ...more }).subscribe(() => {});
      await pass(20);
      leave();
      await pass(LINGER);
    }
    expect(names).toHaveLength(5);
    expect(new Set(names).size).toBe(4);
  });

  test('connects by itself where what it takes to share cannot be loaded, unless nobody follows any more', async () => {
    const loads: (() => void)[] = [];
    vi.doMock('../src/tabs.js', () => new Promise((_, fail) => loads.push(() => fail(new Error('offline')))));
    const begun = (): Promise<unknown> => vi.waitUntil(() => loads.length > 0);
    const { leave } = follow({ shareTabs: true });
    await begun();
    leave();
    await vi.advanceTimersByTimeAsync(LINGER);
    loads.pop()?.();
    await pass(20);
    expect(FakeSource.opened, 'nobody would close it').toEqual([]);
    vi.resetModules();
    follow({ shareTabs: true });
    await begun();
    loads.pop()?.();
    await pass(20);
    expect(FakeSource.live).toHaveLength(1);
  });
});
