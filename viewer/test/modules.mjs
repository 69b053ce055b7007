/** Loads the page's own modules, TypeScript as they are, into a test. */

import path from 'node:path';
import { after } from 'node:test';
import { createServer } from 'vite';

export const ROOT = path.resolve(import.meta.dirname, '..');

const vite = await createServer({
  configFile: path.join(ROOT, 'vite.config.js'), root: ROOT, appType: 'custom', logLevel: 'error',
  server: { middlewareMode: true, watch: null, hmr: false, ws: false }, optimizeDeps: { noDiscovery: true, include: [] },
});
after(() => vite.close());

/** @param {string} file below `src` */
export const load = (file) => vite.ssrLoadModule(`/src/${file}`);
