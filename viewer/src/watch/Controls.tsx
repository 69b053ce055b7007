/** Pause, resume and stop: what a stream's state allows, for those whom the server lets. */

import { useEffect, useRef, useState, type KeyboardEvent } from 'react';
import { refusalOf, steer, type Verb } from '../api.ts';
import type { Condition } from '../stream/view.ts';
import { useSession } from '../session.ts';
import { announce } from '../ui/Announcer.tsx';
import { Icon, type IconName } from '../ui/Icon.tsx';
import type { Kind } from '../words.ts';

const STOP = ['stop', 'Stop', 'stop'] as const;
const OFFERED: Partial<Record<Condition, readonly (readonly [Verb, string, IconName])[]>> = {
  live: [['pause', 'Pause', 'pause'], STOP],
  paused: [['resume', 'Resume', 'play'], STOP],
};

/** Whose control of what was refused once is not offered it again in this page: a token may be for one stream alone. */
const forbidden = new Set<string>();

interface Props {
  kind: Kind;
  id: string;
  condition: Condition | null;
  /** The focus was on a button that is there no more. */
  onFocusLost: () => void;
}

export function Controls({ kind, id, condition, onFocusLost }: Props) {
  const who = `${useSession().round} ${kind}/${id}`;
  const [refused, setRefused] = useState<string | null>(null);
  const [busy, setBusy] = useState(false);
  const [asked, setAsked] = useState(false);
  useEffect(() => setRefused(null), [condition]);

  const offered = forbidden.has(who) || condition === null ? [] : OFFERED[condition] ?? [];
  const hasFocus = useRef(false);
  const isGone = offered.length === 0;
  useEffect(() => {
    if (!isGone || !hasFocus.current) return;
    hasFocus.current = false;
    onFocusLost();
  }, [isGone, onFocusLost]);

  const use = async (verb: Verb) => {
    if (busy) return;
    if (verb === 'stop' && !asked) { // it ends for everyone and for good
      setAsked(true);
      announce('Press again to stop for everyone.');
      return;
    }
    setAsked(false);
    setBusy(true);
    try {
      await steer(kind, id, verb);
    } catch (error) {
      const refusal = refusalOf(error);
      if (refusal.isForbidden) forbidden.add(who);
      const words = refusal.isForbidden ? 'You may watch, but not steer this.' : refusal.message;
      setRefused(words);
      announce(words);
    } finally {
      setBusy(false);
    }
  };
  const cancel = ({ key }: KeyboardEvent) => {
    if (key !== 'Escape' || !asked) return;
    setAsked(false);
    announce('Not stopped.');
  };
  return (
    <div className="controls" onFocus={() => { hasFocus.current = true; }} onBlur={() => { hasFocus.current = false; setAsked(false); }} onKeyDown={cancel}>
      {refused && <span className="refused">{refused}</span>}
      {offered.map(([verb, label, icon]) => {
        const sure = verb === 'stop' && asked;
        // One that is disabled, or another one, would not have the focus any more. Safari gives none by itself.
        return (
          <button key={verb === 'stop' ? 'stop' : 'hold'} type="button" className={sure ? 'button danger' : 'button'} aria-disabled={busy}
            onClick={({ currentTarget }) => { currentTarget.focus(); void use(verb); }}>
            <Icon name={icon} /><span>{sure ? 'Stop for everyone?' : label}</span>
          </button>
        );
      })}
    </div>
  );
}
