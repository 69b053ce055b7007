/** Starts a performance: a sample, or a transcript of one's own. */

import { useEffect, useRef, useState, type FormEvent } from 'react';
import { newId, refusalOf, steer } from '../api.ts';
import { go, watchUrl } from '../route.ts';
import { Icon } from '../ui/Icon.tsx';
import type { Kind } from '../words.ts';

const PACES = [['0.5', 'Half'], ['1', 'Natural'], ['2', 'Double'], ['4', 'Four times'], ['20', 'Twenty times']] as const;

export function LaunchDialog({ onClose }: { onClose: () => void }) {
  const dialog = useRef<HTMLDialogElement>(null);
  const [kind, setKind] = useState<Kind>('debate');
  const [own, setOwn] = useState(false);
  const [transcript, setTranscript] = useState('');
  const [refused, setRefused] = useState<string | null>(null);
  const [busy, setBusy] = useState(false);
  useEffect(() => dialog.current?.showModal(), []);

  const launch = async (event: FormEvent<HTMLFormElement>) => {
    event.preventDefault();
    const fields = new FormData(event.currentTarget);
    const id = String(fields.get('id')).trim() || newId();
    setBusy(true);
    setRefused(null);
    try {
      await steer(kind, id, 'launch', { speed: Number(fields.get('pace')), ...(own && { transcript: readTranscript(transcript) }) });
      onClose();
      go(watchUrl(kind, id));
    } catch (error) {
      const refusal = refusalOf(error);
      setRefused(refusal.isForbidden ? 'You may watch here, but not start anything.' : refusal.message);
      setBusy(false);
    }
  };
  const readFile = async (file: File | undefined) => {
    if (!file) return;
    setTranscript(await file.text());
    if (file.name.endsWith('.json')) setKind('conversation');
  };
  return (
    <dialog ref={dialog} className="launch" aria-labelledby="launch-heading" onClose={onClose}>
      <form onSubmit={launch}>
        <header>
          <h2 id="launch-heading">Start one</h2>
          <button type="button" className="icon-button" aria-label="Close" onClick={() => dialog.current?.close()}><Icon name="close" /></button>
        </header>
        <Choice legend="What" name="kind" value={kind} onChange={setKind} options={[['debate', 'Debate'], ['conversation', 'Conversation']]} />
        <Choice legend="From" name="source" value={own ? 'own' : 'sample'} onChange={(value) => setOwn(value === 'own')} options={[['sample', 'The sample'], ['own', 'A transcript of mine']]} />
        {own && (
          <div className="field">
            <label htmlFor="launch-transcript">Transcript: the Markdown that ClearSide exports, or the JSON form</label>
            <textarea id="launch-transcript" rows={8} required value={transcript} onChange={(event) => setTranscript(event.currentTarget.value)} spellCheck={false} />
            <label className="file">Or from a file <input type="file" accept=".md,.markdown,.json,.txt" onChange={(event) => void readFile(event.currentTarget.files?.[0])} /></label>
          </div>
        )}
        <div className="pair">
          <div className="field">
            <label htmlFor="launch-pace">Pace</label>
            <select id="launch-pace" name="pace" defaultValue="1">{PACES.map(([value, words]) => <option key={value} value={value}>{words}</option>)}</select>
          </div>
          <div className="field">
            <label htmlFor="launch-id">Id, if it should have one</label>
            <input id="launch-id" name="id" maxLength={64} pattern="[A-Za-z0-9_\-]{1,64}" title="Letters, digits, - and _, up to 64 of them" placeholder="made for you" autoComplete="off" autoCapitalize="off" spellCheck={false} />
          </div>
        </div>
        {refused && <p className="refused" role="alert">{refused}</p>}
        <footer>
          <button type="button" className="button" onClick={() => dialog.current?.close()}>Cancel</button>
          <button className="button primary" disabled={busy}>Start</button>
        </footer>
      </form>
    </dialog>
  );
}

interface ChoiceProps<T extends string> { legend: string; name: string; value: T; onChange: (value: T) => void; options: readonly (readonly [T, string])[] }

const Choice = <T extends string>({ legend, name, value, onChange, options }: ChoiceProps<T>) => (
  <fieldset className="choice">
    <legend>{legend}</legend>
    {options.map(([option, words]) => (
      <label key={option}><input type="radio" name={name} checked={value === option} onChange={() => onChange(option)} /><span>{words}</span></label>
    ))}
  </fieldset>
);

/** What begins like JSON is meant as JSON; the server says what is wrong with either. */
function readTranscript(text: string): unknown {
  if (!text.trimStart().startsWith('{')) return text;
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}
