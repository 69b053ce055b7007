// @vitest-environment happy-dom

import { act, cleanup, render, renderHook } from '@testing-library/react';
import { StrictMode, memo } from 'react';
import { renderToString } from 'react-dom/server';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';

import type { ConversationStream } from '../src/index.js';
import { useConversationStream, useDebateStream } from '../src/react.js';
import { EPOCH, FakeAnswer, FakeSource, asSource, fakeServer, said } from './support.js';

let number = 0;
const unique = (): string => `r${number += 1}`;
const options = { EventSource: asSource };
/** The next frame, and what it renders. */
const frame = (): Promise<void> => act(async () => { await vi.advanceTimersByTimeAsync(20); });

beforeEach(() => {
  vi.useFakeTimers();
  FakeSource.opened = [];
});

afterEach(async () => {
  cleanup();
  await vi.advanceTimersByTimeAsync(300);
  expect(FakeSource.live, 'a connection was left open').toEqual([]);
  vi.useRealTimers();
});

describe('useDebateStream', () => {
  test.each([null, undefined])('with %s is idle, and connects to nothing', (id) => {
    const { result } = renderHook(() => useDebateStream(id, options));
    expect(result.current).toMatchObject({ status: 'idle', utterances: [], currentPhase: '', isConnected: false, error: null });
    expect(FakeSource.opened).toEqual([]);
    expect(result.current.on('utterance', () => {})).toBeTypeOf('function');
  });

  test('that is not enabled is idle, until it is', () => {
    const id = unique();
    const { result, rerender } = renderHook(({ enabled }) => useDebateStream(id, { ...options, enabled }), { initialProps: { enabled: false } });
    expect(result.current.status).toBe('idle');
    rerender({ enabled: true });
    expect(result.current.status).toBe('connecting');
    rerender({ enabled: false });
    expect(result.current.status).toBe('idle');
  });

  test('gives what the specification’s hook gives', async () => {
    const id = unique();
    const { result } = renderHook(() => useDebateStream(id, options));
    act(() => {
      FakeSource.last.greet();
      FakeSource.last.emit('phase_transition', { phase: 'Opening', timestamp: 1 }, 1);
      FakeSource.last.emit('utterance', said('Pro', 'a', { phase: 'Opening' }), 2);
    });
    await frame();
    expect(result.current).toMatchObject({ utterances: [{ content: 'a' }], currentPhase: 'Opening', isConnected: true, error: null });
  });

  test('opens one connection under StrictMode, however many components use it', async () => {
    const id = unique();
    const One = () => <p>{useDebateStream(id, options).status}</p>;
    const { container, unmount } = render(<StrictMode><One /><One /><One /></StrictMode>);
    expect(FakeSource.opened).toHaveLength(1);
    act(() => {
      FakeSource.last.greet();
      FakeSource.last.edge('earliest');
    });
    await frame();
    expect(container.textContent).toBe('openopenopen');
    unmount();
    expect(FakeSource.live, 'a remount would find it open').toHaveLength(1);
    await vi.advanceTimersByTimeAsync(300);
    expect(FakeSource.live).toHaveLength(0);
  });

  test('renders once for any number of tokens in a frame', async () => {
    const id = unique();
    let renders = 0;
    const { result } = renderHook(() => {
      renders += 1;
      return useDebateStream(id, options);
    });
    act(() => {
      FakeSource.last.greet();
      FakeSource.last.edge(1);
    });
    await frame();
    const before = renders;
    for (let token = 0; token < 1_000; token += 1) FakeSource.last.emit('token', { speaker: 'Pro', token: 'x' });
    await frame();
    expect(renders - before).toBe(1);
    expect(result.current.live?.text).toHaveLength(1_000);
  });

  test('lets a list of utterances be the same list while somebody speaks', async () => {
    const id = unique();
    let renders = 0;
    const List = memo(({ utterances }: { utterances: readonly unknown[] }) => {
      renders += 1;
      return <p>{utterances.length}</p>;
    });
    const Page = () => <List utterances={useDebateStream(id, options).utterances} />;
    render(<Page />);
    FakeSource.last.greet();
    FakeSource.last.emit('utterance', said('Pro', 'a'), 1);
    FakeSource.last.edge(1);
    await frame();
    const before = renders;
    for (let step = 0; step < 5; step += 1) {
      FakeSource.last.emit('token', { speaker: 'Pro', token: 'x' });
      await frame();
    }
    expect(renders).toBe(before);
  });

  test('leaves one debate for another', async () => {
    const ids = [unique(), unique()];
    const { result, rerender } = renderHook(({ at }) => useDebateStream(ids[at], options), { initialProps: { at: 0 } });
    FakeSource.last.greet();
    FakeSource.last.emit('utterance', said('Pro', 'a'), 1);
    await frame();
    expect(result.current.utterances).toHaveLength(1);
    rerender({ at: 1 });
    expect(result.current.utterances).toEqual([]);
    expect(String(FakeSource.last.url)).toContain(`/api/debates/${ids[1]}/`);
    await act(async () => { await vi.advanceTimersByTimeAsync(300); });
    expect(FakeSource.live).toHaveLength(1);
  });

  test('with a selection renders only when that changes', async () => {
    const id = unique();
    let renders = 0;
    const { result } = renderHook(() => {
      renders += 1;
      return useDebateStream(id, { ...options, select: ({ phase, speaker }) => ({ phase, speaker }) });
    });
    FakeSource.last.greet();
    FakeSource.last.edge(1, { phase: 'Opening', speaker: 'Pro' });
    await frame();
    expect(result.current).toEqual({ phase: 'Opening', speaker: 'Pro' });
    const before = renders;
    for (let step = 0; step < 5; step += 1) {
      FakeSource.last.emit('token', { speaker: 'Pro', token: 'x' });
      await frame();
    }
    expect(renders).toBe(before);
    FakeSource.last.emit('token', { speaker: 'Con', token: 'x' });
    await frame();
    expect(result.current.speaker).toBe('Con');
  });

  test('with a selection that depends on something else shows what is selected now', async () => {
    const id = unique();
    const { result, rerender } = renderHook(({ at }) => useDebateStream(id, { ...options, select: ({ utterances }) => utterances[at]?.content }), { initialProps: { at: 0 } });
    FakeSource.last.greet();
    for (const seq of [1, 2]) FakeSource.last.emit('utterance', said('Pro', `${seq}`), seq);
    await frame();
    expect(result.current).toBe('1');
    rerender({ at: 1 });
    expect(result.current).toBe('2');
  });

  test('connects with the options of this render, not of the one before', async () => {
    const id = unique();
    const { fetch, requests, answers } = fakeServer();
    answers.push(new FakeAnswer(200), new FakeAnswer(200), new FakeAnswer(200));
    const { rerender, unmount } = renderHook(({ token, baseUrl }) => useDebateStream(id, { ...options, fetch, baseUrl, ...(token === null ? { enabled: false } : { token }) }), {
      initialProps: { token: null as string | null, baseUrl: 'https://a.example' },
    });
    const render = async (token: string, baseUrl: string): Promise<void> => {
      rerender({ token, baseUrl });
      await vi.dynamicImportSettled();
      await frame();
    };
    await render('t1', 'https://a.example');
    await render('t2', 'https://a.example');
    await render('t2', 'https://b.example');
    expect(FakeSource.opened).toEqual([]);
    expect(requests.map(({ url, headers }) => [new URL(url).host, headers.get('Authorization')]))
      .toEqual([['a.example', 'Bearer t1'], ['a.example', 'Bearer t2'], ['b.example', 'Bearer t2']]);
    unmount();
    await vi.advanceTimersByTimeAsync(300);
  });

  test('tells every event, of unknown types too, to the onEvent of the last render', async () => {
    const id = unique();
    const { fetch, answers } = fakeServer();
    const answer = new FakeAnswer(200);
    answers.push(answer);
    const heard: string[] = [];
    const { rerender, unmount } = renderHook(({ name }) => useDebateStream(id, { ...options, fetch, onEvent: (type) => heard.push(`${name} ${type}`) }), { initialProps: { name: 'first' } });
    await vi.dynamicImportSettled();
    await frame();
    answer.emit('something.new', {}, 1);
    await frame();
    rerender({ name: 'second' });
    answer.emit('something.newer', {}, 2);
    await frame();
    expect(heard).toEqual(['first something.new', 'second something.newer']);
    unmount();
    await vi.advanceTimersByTimeAsync(300);
    expect(answer.aborted).toBe(true);
  });

  test('has controls that work', async () => {
    const id = unique();
    const { result } = renderHook(() => useDebateStream(id, options));
    const heard = vi.fn();
    const end = result.current.on('utterance', heard);
    FakeSource.last.greet();
    FakeSource.last.emit('utterance', said('Pro', 'a'), 1);
    expect(heard).toHaveBeenCalledWith(said('Pro', 'a'), `${EPOCH}-1`);
    end();
    act(() => result.current.close());
    expect(result.current.status).toBe('closed');
    act(() => result.current.reconnect());
    expect(result.current.status).toBe('reconnecting');
  });
});

describe('the page', () => {
  const following = async () => {
    const { result } = renderHook(() => useDebateStream(unique0, options));
    FakeSource.last.greet();
    FakeSource.last.edge(3);
    await frame();
    return result;
  };
  let unique0 = '';
  beforeEach(() => { unique0 = unique(); });

  test('that comes online again opens its streams anew, where they were', async () => {
    await following();
    window.dispatchEvent(new Event('online'));
    expect(FakeSource.opened).toHaveLength(2);
    expect(FakeSource.live).toHaveLength(1);
    expect(String(FakeSource.last.url)).toContain(`lastEventId=${EPOCH}-3`);
  });

  test('that is left lets go, and opens them when it is come back to', async () => {
    await following();
    window.dispatchEvent(new Event('pagehide'));
    expect(FakeSource.live).toEqual([]);
    window.dispatchEvent(Object.assign(new Event('pageshow'), { persisted: true }));
    expect(FakeSource.live).toHaveLength(1);
  });

  test('leaves alone what has ended', async () => {
    const result = await following();
    act(() => result.current.close());
    window.dispatchEvent(new Event('online'));
    window.dispatchEvent(Object.assign(new Event('pageshow'), { persisted: true }));
    expect(FakeSource.live).toEqual([]);
  });

  test('that was hidden for long looks after its connection when it is shown', async () => {
    await following();
    vi.setSystemTime(Date.now() + 20_000);
    document.dispatchEvent(new Event('visibilitychange'));
    expect(FakeSource.opened).toHaveLength(1);
    vi.setSystemTime(Date.now() + 20_000);
    document.dispatchEvent(new Event('visibilitychange'));
    expect(FakeSource.opened).toHaveLength(2);
  });

  test('may let go while it is hidden', async () => {
    const { result } = renderHook(() => useDebateStream(unique0, { ...options, pauseWhenHidden: true }));
    const hidden = vi.spyOn(document, 'hidden', 'get').mockReturnValue(true);
    act(() => { document.dispatchEvent(new Event('visibilitychange')); });
    expect(FakeSource.live).toEqual([]);
    hidden.mockReturnValue(false);
    act(() => { document.dispatchEvent(new Event('visibilitychange')); });
    expect(FakeSource.live).toHaveLength(1);
    expect(result.current.status).toBe('connecting');
    hidden.mockRestore();
  });

  test.each(['online', 'pageshow'])('that lets go while it is hidden does not come back with %s before it is shown', (event) => {
    const hidden = vi.spyOn(document, 'hidden', 'get').mockReturnValue(true);
    renderHook(() => useDebateStream(unique0, { ...options, pauseWhenHidden: true }));
    expect(FakeSource.opened, 'it was opened where nobody looks').toEqual([]);
    window.dispatchEvent(Object.assign(new Event(event), { persisted: true }));
    expect(FakeSource.opened).toEqual([]);
    hidden.mockReturnValue(false);
    act(() => { document.dispatchEvent(new Event('visibilitychange')); });
    expect(FakeSource.live).toHaveLength(1);
    hidden.mockRestore();
  });

  test('that is hidden opens what was closed and is asked for again when it is shown', () => {
    const { result } = renderHook(() => useDebateStream(unique0, { ...options, pauseWhenHidden: true }));
    act(() => result.current.close());
    const hidden = vi.spyOn(document, 'hidden', 'get').mockReturnValue(true);
    act(() => result.current.reconnect());
    expect(FakeSource.live).toEqual([]);
    expect(result.current.status).toBe('reconnecting');
    hidden.mockReturnValue(false);
    act(() => { document.dispatchEvent(new Event('visibilitychange')); });
    expect(FakeSource.live).toHaveLength(1);
    hidden.mockRestore();
  });

  test('whose timers run once a minute, as they do where nobody looks, has not slept', async () => {
    await following();
    const hidden = vi.spyOn(document, 'hidden', 'get').mockReturnValue(true);
    for (let minute = 0; minute < 5; minute += 1) {
      vi.setSystemTime(Date.now() + 55_000);
      await act(async () => { await vi.advanceTimersByTimeAsync(10_000); });
    }
    expect(FakeSource.opened).toHaveLength(1);
    hidden.mockRestore();
  });
});

describe('useConversationStream', () => {
  test('has several voices at once, a summary, and the number of turns', async () => {
    const id = unique();
    const { result } = renderHook(() => useConversationStream(id, options));
    const token = (who: string, text: string): object => ({ participantId: who, personaSlug: who, personaName: who, segment: '1', token: text });
    act(() => {
      FakeSource.last.emit('connection_established', { type: 'connection_established', clientId: 'c' });
      FakeSource.last.edge(1, { summary: 'So far.', turnCount: 4 });
      FakeSource.last.emit('conversation_token', token('ada', 'I'));
      FakeSource.last.emit('conversation_token', token('mei', 'You'));
    });
    await frame();
    expect([...result.current.live.keys()]).toEqual(['ada', 'mei']);
    expect(result.current).toMatchObject({ summary: 'So far.', turnCount: 4, clientId: 'c', speaker: { id: 'mei' } });
    expect(String(FakeSource.last.url)).toContain('/api/conversations/sessions/');
  });

  test.each([
    ['the map of voices', ({ live }: ConversationStream) => live, (value: unknown) => [...(value as ConversationStream['live']).values()].map(({ text }) => text).join()],
    ['a set made of it', ({ live }: ConversationStream) => new Set([...live.values()].map(({ text }) => text)), (value: unknown) => [...value as Set<string>].join()],
    ['a date', ({ turns }: ConversationStream) => new Date(turns[0]?.text.length ?? 0), (value: unknown) => 'x'.repeat(Number(value as Date))],
  ])('shows each change of a selection that is %s, which has no fields to compare', async (_, select, shown) => {
    const id = unique();
    const selected = renderHook(() => useConversationStream<unknown>(id, { ...options, select }));
    FakeSource.last.emit('connection_established', { type: 'connection_established', clientId: 'c' });
    FakeSource.last.edge(1);
    for (const text of ['x', 'xx']) {
      FakeSource.last.emit('conversation_token', { participantId: 'ada', personaSlug: 'ada', personaName: 'Ada', segment: '1', token: 'x' });
      await frame();
      expect(shown(selected.result.current)).toBe(text);
    }
  });

  test('without an id is idle', () => {
    const { result } = renderHook(() => useConversationStream(null, options));
    expect(result.current).toMatchObject({ status: 'idle', summary: null, turnCount: 0, speaker: null });
    expect(result.current.live.size).toBe(0);
  });
});

test('a server renders the idle state, and the page takes it over', () => {
  const Debate = () => <p>{useDebateStream('ssr', options).status}</p>;
  const Conversation = () => <p>{useConversationStream('ssr', options).status}</p>;
  expect(renderToString(<><Debate /><Conversation /></>)).toBe('<p>idle</p><p>idle</p>');
  expect(FakeSource.opened).toEqual([]);
});
