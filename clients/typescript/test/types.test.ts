import { expectTypeOf, test } from 'vitest';

import type { ConversationStream, DebateStream, Gap, LiveTurn, Snapshot, StreamError, StreamStatus, Utterance } from '../src/index.js';
import { openStream } from '../src/index.js';
import { useConversationStream, useDebateStream } from '../src/react.js';

// `tsc` checks these; none of them runs.
test('the types are what the documentation says', () => {
  expectTypeOf<DebateStream['status']>().toEqualTypeOf<StreamStatus>();
  expectTypeOf<DebateStream['error']>().toEqualTypeOf<StreamError | null>();
  expectTypeOf<DebateStream['utterances']>().toEqualTypeOf<readonly Utterance[]>();
  expectTypeOf<DebateStream['live']>().toEqualTypeOf<LiveTurn | null>();
  expectTypeOf<DebateStream['speaker']>().toEqualTypeOf<string | null>();
  expectTypeOf<DebateStream['gap']>().toEqualTypeOf<Gap | null>();
  expectTypeOf<ConversationStream['live']>().toEqualTypeOf<ReadonlyMap<string, LiveTurn>>();
  expectTypeOf<Snapshot['turnCount']>().toEqualTypeOf<number>();

  // The fields of the specification's hook, and its parameter.
  expectTypeOf<Pick<DebateStream, 'currentPhase' | 'isConnected'>>().toEqualTypeOf<{ readonly currentPhase: string; readonly isConnected: boolean }>();
  expectTypeOf(useDebateStream).toBeCallableWith('id');
  expectTypeOf(useDebateStream).toBeCallableWith(null);
  expectTypeOf(useConversationStream).toBeCallableWith(undefined, { enabled: false });

  const typed = (): void => {
    expectTypeOf(useDebateStream('d', { select: ({ phase }) => phase })).toEqualTypeOf<string | null>();
    const stream = openStream('debate', 'd');
    stream.on('utterance', ({ content }, id) => {
      expectTypeOf(content).toEqualTypeOf<string>();
      expectTypeOf(id).toEqualTypeOf<string | null>();
    });
    stream.on('note', (data) => expectTypeOf(data).toEqualTypeOf<unknown>());
    openStream('conversation', 'c').on('conversation_utterance', ({ turnCount, isHost }) => {
      expectTypeOf(turnCount).toEqualTypeOf<number>();
      expectTypeOf(isHost).toEqualTypeOf<boolean>();
    });
    // @ts-expect-error there are two kinds
    openStream('podcast', 'p');
    // @ts-expect-error what is seen is not to be changed
    stream.getSnapshot().utterances.push();
    // @ts-expect-error an utterance has no such field
    stream.on('utterance', ({ text }) => text);
  };
  expectTypeOf(typed).toBeFunction();
});
