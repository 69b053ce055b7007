/** Where to start reading: the address decides between the list of streams, one stream, and the operator's page. */

import './styles/tokens.css';
import './styles/base.css';
import './styles/home.css';
import './styles/session.css';
import './styles/watch.css';
import './styles/speech.css';
import './styles/dock.css';
import './styles/operator.css';

import { StrictMode } from 'react';
import { createRoot } from 'react-dom/client';
import { Home } from './home/Home.tsx';
import { Operator } from './operator/Operator.tsx';
import { followLink, useRoute } from './route.ts';
import { useSession } from './session.ts';
import { Announcer } from './ui/Announcer.tsx';
import { Boundary } from './ui/Boundary.tsx';
import { SignIn } from './ui/SignIn.tsx';
import { Watch } from './watch/Watch.tsx';

history.scrollRestoration = 'manual'; // the transcript isn't there yet when the browser would restore
addEventListener('click', followLink);

function Page() {
  const route = useRoute();
  const { asked, round } = useSession();
  return (
    <>
      <a className="skip" href="#main">To the content</a>
      <Announcer />
      <Boundary key={`${round} ${asked} ${JSON.stringify(route)}`}>
        {asked !== null ? <SignIn asked={asked} />
          : route.view === 'watch' ? <Watch kind={route.kind} id={route.id} />
            : route.view === 'operator' ? <Operator /> : <Home />}
      </Boundary>
    </>
  );
}

createRoot(document.getElementById('root')!).render(<StrictMode><Page /></StrictMode>);
