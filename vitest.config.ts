import { svelte } from '@sveltejs/vite-plugin-svelte';
import { playwright } from '@vitest/browser-playwright';
import { defineConfig } from 'vitest/config';
import { CHROMIUM_FLAGS, findChromium } from './tools/lib/chromium.mjs';

// Properties draw the same examples in every run, so that a red run is red again. `TERRARIUM_SEED=random` draws others.
const chosen = process.env.TERRARIUM_SEED ?? '1';
const seed = chosen === 'random' ? Math.trunc(Math.random() * 2 ** 31) : Number(chosen);

export default defineConfig({
  publicDir: 'static',
  define: {
    SEED_OF_PROPERTIES: JSON.stringify(seed),
    MANY_ROUNDS: JSON.stringify(process.env.TERRARIUM_ROUNDS === 'many'),
  },
  test: {
    setupFiles: ['tests/support/seed.ts'],
    projects: [
      {
        extends: true,
        test: {
          name: 'unit',
          environment: 'node',
          include: [
            'tests/unit/**/*.test.ts',
            'tests/architecture/**/*.test.ts',
            'tests/budgets/**/*.test.ts',
            'tests/conformance/reference.test.ts',
          ],
          testTimeout: 30_000,
        },
      },
      {
        extends: true,
        test: {
          name: 'e2e',
          environment: 'node',
          include: ['tests/e2e/**/*.test.ts'],
          testTimeout: 240_000,
          hookTimeout: 60_000,
          fileParallelism: false,
        },
      },
      {
        extends: true,
        test: {
          name: 'faults',
          environment: 'node',
          include: ['tests/faults/*.test.ts'],
          testTimeout: 240_000,
          hookTimeout: 180_000,
          fileParallelism: false,
        },
      },
      {
        extends: true,
        test: {
          name: 'deep-faults',
          environment: 'node',
          include: ['tests/faults/deep/*.test.ts'],
          testTimeout: 1_800_000,
          hookTimeout: 180_000,
          fileParallelism: false,
        },
      },
      {
        extends: true,
        test: {
          name: 'long',
          environment: 'node',
          include: ['tests/long/**/*.test.ts'],
          testTimeout: 1_800_000,
          fileParallelism: false,
        },
      },
      {
        extends: true,
        plugins: [svelte()],
        // Found before the first test: a dependency found late reloads the page under a running test.
        optimizeDeps: {
          entries: ['tests/{browser,conformance}/**/*.test.ts', 'src/ui/**/*.svelte'],
        },
        server: {
          headers: {
            'Cross-Origin-Opener-Policy': 'same-origin',
            'Cross-Origin-Embedder-Policy': 'require-corp',
          },
        },
        test: {
          name: 'browser',
          include: ['tests/browser/**/*.test.ts', 'tests/conformance/devices.test.ts'],
          testTimeout: 60_000,
          // One page at a time: two cores, and one software GPU.
          fileParallelism: false,
          browser: {
            enabled: true,
            headless: true,
            screenshotFailures: false,
            provider: playwright({
              launchOptions: {
                executablePath: findChromium() ?? 'chromium',
                args: [...CHROMIUM_FLAGS],
              },
            }),
            instances: [{ browser: 'chromium' }],
          },
        },
      },
    ],
  },
});
