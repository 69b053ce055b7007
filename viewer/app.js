/** Where to start reading: the address decides between the list of streams and one stream. */

import { byId } from './dom.js';
import { hideHome, showHome, startHome } from './home.js';
import { hideWatch, showWatch, startWatch } from './watch.js';

function route({ focus = false } = {}) {
  const query = new URLSearchParams(location.search);
  const kind = ['debate', 'conversation'].find((name) => query.get(name));
  byId('home').hidden = kind !== undefined;
  byId('watch').hidden = kind === undefined;
  scrollTo(0, 0);
  if (kind === undefined) {
    hideWatch();
    showHome();
  } else {
    hideHome();
    showWatch(kind, query.get(kind));
  }
  // After a change of view the keyboard and the screen reader start at its heading.
  if (focus) document.querySelector(kind ? '#title' : '#home h1').focus({ preventScroll: true });
}

function go(url) {
  history.pushState(null, '', url);
  route({ focus: true });
}

/** Links to our own views change the view in place; any other click is the browser's. */
function followLink(event) {
  const link = event.target.closest('a[href]');
  if (!link || link.origin !== location.origin || link.pathname !== location.pathname) return;
  if (event.button !== 0 || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
  event.preventDefault();
  go(link.href);
}

history.scrollRestoration = 'manual'; // the transcript isn't there yet when the browser would restore
addEventListener('popstate', () => route({ focus: true }));
addEventListener('click', followLink);
startHome((kind, id) => go(`?${kind}=${encodeURIComponent(id)}`));
startWatch();
route();
