/** Builds a page's script from `clients/typescript`, by that package's own tools. */

import { createRequire } from 'node:module';
import path from 'node:path';

import { ROOT } from './documents.mjs';

const PACKAGE = path.join(ROOT, 'clients', 'typescript');
const { build } = createRequire(path.join(PACKAGE, 'package.json'))('esbuild');

/** @param {string} code  TypeScript with JSX; what it exports becomes `window.bundle` */
export async function bundle(code) {
  const { outputFiles: [script] } = await build({
    stdin: { contents: code, resolveDir: PACKAGE, loader: 'tsx' },
    bundle: true, write: false, format: 'iife', globalName: 'bundle', target: 'es2022', jsx: 'automatic',
    define: { 'process.env.NODE_ENV': '"development"' }, // StrictMode mounts twice there
    alias: {
      '@clearside/sse-client': path.join(PACKAGE, 'src/index.ts'),
      '@clearside/sse-client/react': path.join(PACKAGE, 'src/react.ts'),
      // Also for what lies outside of the package.
      react: path.join(PACKAGE, 'node_modules/react'),
      'react-dom': path.join(PACKAGE, 'node_modules/react-dom'),
    },
  });
  return script.text;
}
