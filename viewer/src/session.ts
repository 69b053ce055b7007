/**
 * The token of whoever watches, where the server asks for one. Kept for this tab alone.
 *
 * Nobody is asked before the server has refused: a cookie of the application's, or a server without keys, is enough.
 */

import { useSyncExternalStore } from 'react';

const KEY = 'clearside:token';
const CHANGED = 'clearside:session';

interface Session {
  /** Rises with each sign-in and sign-out: what was asked with the one is not for the other. */
  readonly round: number;
  readonly token: string | null;
  /** What the server said when it asked for a token; null: it does not ask. */
  readonly asked: string | null;
}

let session: Session = { round: 0, token: remembered(), asked: null };

function remembered(): string | null {
  try {
    return sessionStorage.getItem(KEY);
  } catch {
    return null; // storage may be forbidden
  }
}

function change(to: Partial<Session>): void {
  session = { ...session, ...to };
  dispatchEvent(new Event(CHANGED));
}

export const kept = () => session.token;

/** The server has answered 401. */
export const askForToken = (reason: string) => change({ asked: reason });

export function signIn(token: string | null): void {
  try {
    if (token === null) sessionStorage.removeItem(KEY);
    else sessionStorage.setItem(KEY, token);
  } catch { /* it holds until the page is left, then */ }
  change({ token, asked: null, round: session.round + 1 });
}

export const signOut = () => signIn(null);

function subscribe(changed: () => void): () => void {
  addEventListener(CHANGED, changed);
  return () => removeEventListener(CHANGED, changed);
}

export const useSession = () => useSyncExternalStore(subscribe, () => session);

/** Whom a token names. It is only shown: what it is worth, the server knows. */
export function subjectOf(token: string): string | null {
  try {
    const part = token.split('.')[1]!.replaceAll('-', '+').replaceAll('_', '/');
    const bytes = Uint8Array.from(atob(part), (letter) => letter.charCodeAt(0));
    const { sub } = JSON.parse(new TextDecoder().decode(bytes)) as { sub?: unknown };
    return typeof sub === 'string' && sub !== '' ? sub : null;
  } catch {
    return null;
  }
}
