/** One speech, finished or growing. */

import { memo } from 'react';
import { Markdown } from '../markdown.tsx';
import { roleOf, type Speech as SpeechEntry, type Voice } from '../stream/view.ts';
import { look, Mark, Meter } from '../ui/Mark.tsx';
import { clockTime } from '../words.ts';
import { entryId } from './useFollowing.ts';

function Head({ voice, tag, offset, speaking = false }: { voice: Voice; tag: string | null; offset: number | null; speaking?: boolean }) {
  const role = roleOf(voice);
  return (
    <header>
      <Mark voice={voice} />
      <h3><bdi>{voice.name}</bdi></h3>
      {role && role !== voice.name && <span className="role">{role.toLowerCase()}</span>}
      {tag && <span className="tag">{tag}</span>}
      {speaking && <span className="tag speaking"><Meter />speaking</span>}
      {offset !== null && <time>{clockTime(offset)}</time>}
    </header>
  );
}

export const Speech = memo(function Speech({ entry, voice, offset }: { entry: SpeechEntry; voice: Voice; offset: number | null }) {
  const tag = entry.interjection ? 'interjects' : entry.question === null ? null : 'answers a question';
  return (
    <article className="speech" id={entryId(entry.key)} tabIndex={-1} data-manner={entry.interjection ? 'interjection' : entry.interrupted ? 'interrupted' : undefined} {...look(voice)}>
      <Head voice={voice} tag={tag} offset={offset} />
      {entry.question && <blockquote className="question" dir="auto">{entry.question}</blockquote>}
      <div className="words"><Markdown source={entry.text} /></div>
      {entry.interrupted && <p className="cut">Interrupted</p>}
    </article>
  );
});

export const OpenSpeech = memo(function OpenSpeech({ voice, text }: { voice: Voice; text: string }) {
  return (
    <article className="speech open" {...look(voice)}>
      <Head voice={voice} tag={null} offset={null} speaking />
      <div className="words growing"><Markdown source={text} growing /></div>
    </article>
  );
});
