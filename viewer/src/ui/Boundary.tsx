/** Where something cannot be drawn, says so, and leaves a way out: nobody is left with an empty page. */

import { Component, useEffect, useRef, type ReactNode } from 'react';
import { HOME_URL, OPERATOR_URL } from '../route.ts';
import { Brand } from './Brand.tsx';

interface Props { children: ReactNode }

export class Boundary extends Component<Props, { mishap: string | null }> {
  override state = { mishap: null };

  static getDerivedStateFromError(error: unknown) {
    return { mishap: error instanceof Error ? error.message : String(error) };
  }

  override render() {
    const { mishap } = this.state;
    return mishap === null ? this.props.children : <Mishap what={mishap} />;
  }
}

function Mishap({ what }: { what: string }) {
  const heading = useRef<HTMLHeadingElement>(null);
  useEffect(() => {
    document.title = 'Something went wrong · ClearSide';
    heading.current?.focus({ preventScroll: true });
  }, []);
  return (
    <div className="home sign-in">
      <header className="masthead"><Brand /></header>
      <main id="main" tabIndex={-1}>
        <section className="door" role="alert">
          <span className="door-mark" aria-hidden="true" />
          <h1 ref={heading} tabIndex={-1}>This cannot be drawn</h1>
          <p>The page met something that it cannot draw: <bdi>{what}</bdi>. Nothing that was published is lost.</p>
          <div className="actions">
            <button type="button" className="button primary" onClick={() => location.reload()}>Reload</button>
            <a className="button" href={HOME_URL}>All streams</a>
            <a className="button" href={OPERATOR_URL}>Operator</a>
          </div>
        </section>
      </main>
    </div>
  );
}
