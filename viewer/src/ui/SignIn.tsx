/** Where the server asks who is there: a place for a token, and the way out again. */

import { useEffect, useId, useRef, useState, type FormEvent } from 'react';
import { objectionTo } from '../api.ts';
import { signIn, signOut, subjectOf, useSession } from '../session.ts';
import { Brand } from './Brand.tsx';
import { ThemeButton } from './Theme.tsx';

const UNSENDABLE = /[^\x21-\x7e]/;

/** @param asked what the server said */
export function SignIn({ asked }: { asked: string }) {
  const { token: before } = useSession();
  const [objection, setObjection] = useState<string | null>(before === null ? null : asked);
  const [busy, setBusy] = useState(false);
  const field = useRef<HTMLInputElement>(null);
  const hint = useId();
  useEffect(() => {
    document.title = 'Sign in · ClearSide';
    field.current?.focus({ preventScroll: true });
  }, []);

  const submit = async (event: FormEvent<HTMLFormElement>) => {
    event.preventDefault();
    const token = String(new FormData(event.currentTarget).get('token')).trim().replace(/^Bearer\s+/i, '');
    if (token === '') return;
    setBusy(true);
    const refused = UNSENDABLE.test(token) ? 'It has characters that no token has. Was it copied whole?' : await objectionTo(token);
    setBusy(false);
    setObjection(refused);
    if (refused === null) signIn(token);
    else field.current?.select();
  };
  return (
    <div className="home sign-in">
      <header className="masthead">
        <Brand />
        <ThemeButton />
      </header>
      <main id="main" tabIndex={-1}>
        <form className="door" onSubmit={submit}>
          <span className="door-mark" aria-hidden="true" />
          <h1>This server asks for a token</h1>
          <p id={hint}>Whoever runs it can give you one. Paste it here; it is kept in this tab only, until you sign out or close it.</p>
          <label htmlFor="token">Token</label>
          <input ref={field} id="token" name="token" type="password" required aria-describedby={objection === null ? hint : `${hint} objection`} aria-invalid={objection !== null}
            placeholder="eyJ…" autoComplete="off" autoCapitalize="off" spellCheck={false} />
          <p className="refused" id="objection" role="alert">{objection !== null && <>That one does not open it. <bdi>{objection}</bdi></>}</p>
          <div className="actions">
            <button className="button primary" disabled={busy}>{busy ? 'Asking…' : 'Sign in'}</button>
            {before !== null && <button type="button" className="button" onClick={signOut}>Go on without one</button>}
          </div>
        </form>
      </main>
    </div>
  );
}

/** Who is signed in, and the way out. */
export function Signed() {
  const { token } = useSession();
  if (token === null) return null;
  const subject = subjectOf(token);
  return (
    <span className="signed">
      {subject !== null && <bdi title="Whom your token names">{subject}</bdi>}
      <button type="button" className="button" onClick={signOut}>Sign out</button>
    </span>
  );
}
