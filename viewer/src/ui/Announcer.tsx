/** Reads out what changed, without moving anyone's focus. */

import { useEffect, useState } from 'react';

const SAID = 'clearside:said';
const KEPT = 5;

export const announce = (words: string) => dispatchEvent(new CustomEvent(SAID, { detail: words }));

/** One region for the whole page: each line is added, and read, once. */
export function Announcer() {
  const [lines, setLines] = useState<readonly { key: number; words: string }[]>([]);
  useEffect(() => {
    let key = 0;
    const hear = (event: Event) => {
      const words = String((event as CustomEvent).detail);
      setLines((before) => [...before.slice(1 - KEPT), { key: key += 1, words }]);
    };
    addEventListener(SAID, hear);
    return () => removeEventListener(SAID, hear);
  }, []);
  return <div id="announcer" className="visually-hidden" role="log" aria-live="polite" aria-label="What happens">{lines.map((line) => <p key={line.key}>{line.words}</p>)}</div>;
}
