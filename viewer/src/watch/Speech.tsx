/** One speech, finished or growing. The one becomes the other in its place. */

import { memo } from 'react';
import { Markdown } from '../markdown.tsx';
import { roleOf, type OpenSpeech, type Speech as SpeechEntry, type Voice } from '../stream/view.ts';
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

interface Props { speech: SpeechEntry | OpenSpeech; voice: Voice; offset: number | null }

export const Speech = memo(function Speech({ speech, voice, offset }: Props) {
  const isOpen = !('kind' in speech);
  const said = isOpen ? null : speech;
  const tag = said?.interjection ? 'interjects' : said === null || said.question === null ? null : 'answers a question';
  return (
    <article className={isOpen ? 'speech open' : 'speech'} id={said ? entryId(said.key) : undefined} tabIndex={said ? -1 : undefined}
      data-manner={said?.interjection ? 'interjection' : said?.interrupted ? 'interrupted' : undefined} {...look(voice)}>
      <Head voice={voice} tag={tag} offset={offset} speaking={isOpen} />
      {said?.question && <blockquote className="question" dir="auto">{said.question}</blockquote>}
      <div className={isOpen ? 'words growing' : 'words'}><Markdown source={speech.text} growing={isOpen} /></div>
      {said?.interrupted && <p className="cut">Interrupted</p>}
    </article>
  );
});
