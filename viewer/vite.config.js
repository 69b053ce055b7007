import { fileURLToPath } from 'node:url';
import { defineConfig } from 'vite';

const here = (path) => fileURLToPath(new URL(path, import.meta.url));

/** Where `npm run dev` finds a server to watch: `cargo run -- demo`. */
const SERVER = process.env.CLEARSIDE_URL ?? 'http://127.0.0.1:3000';

export default defineConfig({
  root: here('.'),
  resolve: {
    alias: [
      { find: '@clearside/sse-client/react', replacement: here('../clients/typescript/src/react.ts') },
      { find: '@clearside/sse-client', replacement: here('../clients/typescript/src/index.ts') },
    ],
    // The hooks' sources lie outside this folder; they use the packages of this one, none of their own.
    dedupe: ['eventsource-parser', 'react', 'react-dom'],
  },
  build: {
    target: 'es2023',
    // Every file by its own name: the server tells browsers to ask each time, so versions can't mix.
    rollupOptions: {
      output: { entryFileNames: 'assets/viewer.js', chunkFileNames: 'assets/[name].js', assetFileNames: 'assets/viewer[extname]' },
    },
    assetsInlineLimit: 0, // the page's policy has no place for data: URLs
    modulePreload: false,
    reportCompressedSize: false,
  },
  server: { proxy: { '/api': SERVER, '/health': SERVER } },
});
