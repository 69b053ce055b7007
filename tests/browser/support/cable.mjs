/** A network that can be pulled out: a TCP proxy on a port of its own. */

import { once } from 'node:events';
import net from 'node:net';

/** @param {{port: number, idleMs?: number}} options  `idleMs`: cut a connection on which nothing comes for so long, as proxies do */
export async function layCable({ port, idleMs = 0 }) {
  const ends = new Set();
  let plugged = true;
  let cuts = 0;
  const listener = net.createServer((near) => {
    if (!plugged) { near.resetAndDestroy(); return; }
    const far = net.connect({ host: '127.0.0.1', port });
    for (const [end, other] of [[near, far], [far, near]]) {
      ends.add(end);
      end.pipe(other);
      end.on('error', () => {});
      end.on('close', () => { ends.delete(end); other.destroy(); });
    }
    if (idleMs) far.setTimeout(idleMs, () => { cuts += 1; far.destroy(); });
  });
  listener.listen(0, '127.0.0.1');
  await once(listener, 'listening');
  return {
    base: `http://127.0.0.1:${listener.address().port}`,
    /** Connections cut because they were idle. */
    idleCuts: () => cuts,
    unplug() {
      plugged = false;
      for (const end of ends) end.resetAndDestroy();
    },
    plugIn() { plugged = true; },
    remove() {
      this.unplug();
      listener.close();
    },
  };
}
