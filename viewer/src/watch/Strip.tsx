/** Under the bar: what is wrong with the connection, for as long as it is. */

import { useEffect, useState } from 'react';
import type { Followed } from '../stream/useStream.ts';
import type { Status } from '../stream/view.ts';
import { announce } from '../ui/Announcer.tsx';
import { counted } from '../words.ts';

export function Strip({ status, stream }: { status: Status; stream: Followed }) {
  const { view, error, reconnect } = stream;
  const trouble = status === 'reconnecting' || status === 'refused';
  const reason = trouble ? error?.message ?? null : null;
  // One dropped connection is nobody's business: only what lasts is read out.
  useEffect(() => { if (reason) announce(reason); }, [reason]);
  const wait = useCountdown(trouble ? stream.nextRetryAt : null);
  if (view.entries.length === 0 && view.open.length === 0) return null;
  if (status === 'catching-up') return <div className="strip" id="strip" data-status={status}>Catching up: {counted(view.entries.length, 'entry', 'entries')} so far</div>;
  if (!trouble) return null;
  return (
    <div className="strip" id="strip" data-status={status}>
      <span>{reason ?? 'The connection was lost.'} {status === 'reconnecting' && (wait === null || wait <= 0 ? 'Trying again; what is said meanwhile will follow.' : `Trying again in ${wait} s; what is said meanwhile will follow.`)}</span>
      <button type="button" className="link" onClick={reconnect}>Try now</button>
    </div>
  );
}

function useCountdown(until: number | null): number | null {
  const [now, setNow] = useState(Date.now);
  useEffect(() => {
    if (until === null) return;
    setNow(Date.now());
    const timer = setInterval(() => setNow(Date.now()), 1_000);
    return () => clearInterval(timer);
  }, [until]);
  return until === null ? null : Math.ceil((until - now) / 1000);
}
