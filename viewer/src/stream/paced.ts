/**
 * Shows what a store has at once, but no more often than somebody could see: when tokens come by the thousand,
 * drawing each frame's share would leave no time for anything else in that frame.
 */

interface Store<S> {
  subscribe(changed: () => void): () => void;
  getSnapshot(): S;
}

/** Long enough to be told every frame that is due before the time is up. */
const SLACK_MS = 20;

export function paced<S>({ subscribe, getSnapshot }: Store<S>, everyMs: number): Store<S> {
  let shown = getSnapshot();
  return {
    getSnapshot: () => shown,
    subscribe(changed) {
      let last = -Infinity;
      let late: ReturnType<typeof setTimeout> | undefined;
      const show = () => {
        clearTimeout(late);
        late = undefined;
        last = performance.now();
        shown = getSnapshot();
        changed();
      };
      const stop = subscribe(() => {
        const wait = last + everyMs - performance.now();
        if (wait <= 0) show();
        // The store tells in frames. This is for what nothing follows, and whoever comes first draws it.
        else late ??= setTimeout(show, wait + SLACK_MS);
      });
      shown = getSnapshot();
      return () => {
        clearTimeout(late);
        stop();
      };
    },
  };
}
