/** Pause, resume and stop: what a stream's state allows, for those whom the server lets. */

import { useEffect, useState } from 'react';
import { refusalOf, steer, type Verb } from '../api.ts';
import type { Condition } from '../stream/view.ts';
import { useSession } from '../session.ts';
import { announce } from '../ui/Announcer.tsx';
import { Icon, type IconName } from '../ui/Icon.tsx';
import type { Kind } from '../words.ts';

const CONFIRM_MS = 4_000;
const OFFERED: Partial<Record<Condition, readonly (readonly [Verb, string, IconName])[]>> = {
  live: [['pause', 'Pause', 'pause'], ['stop', 'Stop', 'stop']],
  paused: [['resume', 'Resume', 'play'], ['stop', 'Stop', 'stop']],
};

/** Whose control of what was refused once is not offered it again in this page: a token may be for one stream alone. */
const forbidden = new Set<string>();

export function Controls({ kind, id, condition }: { kind: Kind; id: string; condition: Condition | null }) {
  const who = `${useSession().round} ${kind}/${id}`;
  const [refused, setRefused] = useState<string | null>(null);
  const [busy, setBusy] = useState(false);
  const [asked, setAsked] = useState(false);
  useEffect(() => setRefused(null), [condition]);
  useEffect(() => {
    if (!asked) return;
    const timer = setTimeout(() => setAsked(false), CONFIRM_MS);
    return () => clearTimeout(timer);
  }, [asked]);

  const offered = forbidden.has(who) || condition === null ? [] : OFFERED[condition] ?? [];
  const use = async (verb: Verb) => {
    if (verb === 'stop' && !asked) return setAsked(true); // it ends for everyone and for good
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
  return (
    <div className="controls">
      {refused && <span className="refused">{refused}</span>}
      {offered.map(([verb, label, icon]) => {
        const sure = verb === 'stop' && asked;
        return (
          <button key={verb} type="button" className={sure ? 'button danger' : 'button'} disabled={busy} onClick={() => use(verb)}>
            <Icon name={icon} /><span>{sure ? 'Stop for everyone?' : label}</span>
          </button>
        );
      })}
    </div>
  );
}
