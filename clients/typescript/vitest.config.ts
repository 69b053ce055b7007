import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['test/**/*.test.{ts,tsx}'],
    reporters: ['default', ...(process.env.VITEST_JSON ? [['json', { outputFile: process.env.VITEST_JSON }] as [string, object]] : [])],
  },
});
