/** A page that is not the server's. */

import { once } from 'node:events';
import http from 'node:http';

/** Serves it by two names: the same port by another one is another site, and cookies of the first are not sent there. */
export async function startElsewhere() {
  const pages = http.createServer((_, response) => response.setHeader('Content-Type', 'text/html').end('<!doctype html><title>Elsewhere</title>'));
  pages.listen(0, '127.0.0.1');
  await once(pages, 'listening');
  const { port } = pages.address();
  return {
    origin: `http://127.0.0.1:${port}`,
    foreign: `http://localhost:${port}`,
    close() { pages.closeAllConnections(); pages.close(); },
  };
}
