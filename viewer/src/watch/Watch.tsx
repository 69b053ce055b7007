/** One stream on the screen: a debate as a stage, a conversation as a studio. */

import { useCallback, useEffect, useRef } from 'react';
import { askWhy } from '../api.ts';
import { useStream } from '../stream/useStream.ts';
import { isSpeaking, statusOf, type StreamView } from '../stream/view.ts';
import { Brand } from '../ui/Brand.tsx';
import { Icon } from '../ui/Icon.tsx';
import { Mark } from '../ui/Mark.tsx';
import { Status } from '../ui/Status.tsx';
import { ThemeButton } from '../ui/Theme.tsx';
import { counted, spelled, type Kind } from '../words.ts';
import { Controls } from './Controls.tsx';
import { LiveDock, ReplayDock } from './Dock.tsx';
import { Placeholder } from './Placeholder.tsx';
import { Rail } from './Rail.tsx';
import { growingOf, isSameGrowth, type Growing } from './score.ts';
import { Strip } from './Strip.tsx';
import { Transcript } from './Transcript.tsx';
import { useAnnouncements } from './useAnnouncements.ts';
import { useFollowing } from './useFollowing.ts';
import { useReplay } from './useReplay.ts';

/** Fast speakers would move every bar of the score in every frame. */
const GROWTH_MS = 200;
const STREAM_WORDS: Record<Kind, string> = { debate: 'Debate', conversation: 'Conversation' };

export function Watch({ kind, id }: { kind: Kind; id: string }) {
  const stream = useStream(kind, id);
  const whole = stream.view;
  const status = statusOf(whole, stream.link);
  const isOver = whole.condition === 'completed';
  const replay = useReplay(kind, id, isOver ? whole : null);
  const isReplaying = replay !== null && replay.at !== null;
  const view = replay?.view ?? whole;
  const growing = useGrowing(view);
  const atEdge = stream.link === 'open' || stream.link === 'finished' || isOver;

  // Who opens a running stream wants its live edge; who opens a finished one, its beginning.
  const { following, unseen, jump, show, setFollowing } = useFollowing(view, !atEdge ? null : !isOver);
  useAnnouncements(whole, status, atEdge);

  const isAsked = stream.error?.status === 401;
  useEffect(() => { if (isAsked) void askWhy(kind, id); }, [kind, id, isAsked]);

  const title = whole.title ?? whole.proposition ?? id;
  useEffect(() => {
    document.title = `${title} · ClearSide`;
  }, [title]);
  const heading = useRef<HTMLHeadingElement>(null);
  const focusHeading = useCallback(() => heading.current?.focus({ preventScroll: true }), []);
  useEffect(focusHeading, [focusHeading, kind, id]);
  const proposition = whole.proposition !== null && whole.proposition !== title ? whole.proposition : null;

  return (
    <div className="watch" data-kind={kind} data-status={status}>
      <header className="bar">
        <Brand short />
        <Now view={view} />
        <div className="bar-end">
          {whole.followers !== null && !isOver && <span className="followers" title="Connections to this stream"><b>{whole.followers.toLocaleString('en')}</b> watching</span>}
          <Status status={isReplaying ? 'replay' : status} id="status" />
          <Controls kind={kind} id={id} condition={stream.link === 'open' ? whole.condition : null} onFocusLost={focusHeading} />
          <button type="button" className="icon-button details-button" popoverTarget="details" aria-label="About this stream" title="About this stream"><Icon name="list" /></button>
          <ThemeButton />
        </div>
        <Strip status={status} stream={stream} />
      </header>

      <div className="side">
        <section className="billing" aria-labelledby="title">
          <p className="eyebrow">{whole.title === null && whole.proposition === null ? STREAM_WORDS[kind] : kind === 'debate' ? 'The question' : 'The conversation'}</p>
          <h1 id="title" ref={heading} tabIndex={-1} dir="auto">{title}</h1>
          {proposition && <p className="proposition" dir="auto">{proposition}</p>}
        </section>
        <aside id="details" className="rail" popover="auto" aria-label="About this stream">
          <button type="button" className="icon-button close-details" popoverTarget="details" popoverTargetAction="hide" aria-label="Close"><Icon name="close" /></button>
          <Rail view={view} growing={growing} onShow={show} />
        </aside>
      </div>

      <main id="main" className="stage" tabIndex={-1}>
        <h2 className="visually-hidden">Transcript</h2>
        <div id="transcript" className="transcript"><Transcript entries={view.entries} open={view.open} voices={view.voices} startedAt={view.startedAt} /></div>
        {!isReplaying && <Placeholder kind={kind} id={id} status={status} stream={stream} />}
      </main>

      {replay === null ? <LiveDock view={whole} growing={growing} isLinked={stream.link === 'open'} following={following} unseen={unseen} onJump={jump} onShow={show} />
        : <ReplayDock replay={replay} onSeek={() => setFollowing(true)} />}
    </div>
  );
}

/** The same list for as long as nothing has grown by enough, or for long enough, to be seen. */
function useGrowing({ open }: StreamView): readonly Growing[] {
  const last = useRef<{ growing: readonly Growing[]; at: number }>({ growing: [], at: 0 });
  const growing = growingOf(open);
  const at = performance.now();
  if (!isSameGrowth(last.current.growing, growing, at - last.current.at < GROWTH_MS)) last.current = { growing, at };
  return last.current.growing;
}

/** FR-204: the phase and the speaker, at all times. */
function Now({ view }: { view: StreamView }) {
  const { phase, speaker, condition, kind } = view;
  const voice = speaker === null ? null : view.voices[speaker]!;
  const speaking = speaker !== null && isSpeaking(view, speaker);
  const turns = view.entries.length > 0 ? counted(view.turnCount, 'turn') : null;
  return (
    <dl className="now">
      {(kind === 'debate' || phase !== null) && <div className="now-phase"><dt>Phase</dt><dd id="phase" dir="auto">{phase === null ? 'Not begun' : spelled(phase)}</dd></div>}
      <div className="now-speaker" data-speaking={speaking || undefined}>
        <dt id="speaker-label">{speaking ? 'Speaking' : condition === 'completed' ? 'Last speaker' : 'Speaker'}</dt>
        <dd id="speaker">{voice === null ? 'Nobody yet' : <><Mark voice={voice} /><bdi>{voice.name}</bdi></>}</dd>
      </div>
      {turns && <div className="now-turns"><dt>So far</dt><dd>{turns}</dd></div>}
    </dl>
  );
}
