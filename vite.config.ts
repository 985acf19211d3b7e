import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { svelte } from '@sveltejs/vite-plugin-svelte';
import { defineConfig } from 'vite';
import type { Plugin } from 'vite';
import { VitePWA } from 'vite-plugin-pwa';
import { META_POLICY, SECURITY_HEADERS } from './tools/lib/policy.mjs';

let outDir = 'dist';

/** The content policy inside the page itself, for hosts that cannot set headers. Not in development: HMR needs more. */
function contentPolicy(): Plugin {
  return {
    name: 'terrarium-content-policy',
    apply: 'build',
    configResolved: (config) => {
      outDir = config.build.outDir;
    },
    transformIndexHtml: () => [
      {
        tag: 'meta',
        attrs: { 'http-equiv': 'Content-Security-Policy', content: META_POLICY },
        injectTo: 'head-prepend',
      },
    ],
  };
}

/**
 * The kill switch, built with TERRARIUM_RETIRE_OFFLINE=1: in the place of the service worker one that removes itself and
 * its files. Not the plugin's own, which may be ended before its files are gone.
 */
function retiredOffline(): Plugin {
  return {
    name: 'terrarium-retired-offline',
    apply: 'build',
    async generateBundle() {
      const source = await readFile('workers/retired.sw.js', 'utf8');
      this.emitFile({ type: 'asset', fileName: 'offline.sw.js', source });
    },
  };
}

const isolation: Record<string, string> = {};
for (const [name, value] of Object.entries(SECURITY_HEADERS)) {
  if (name.startsWith('Cross-Origin')) isolation[name] = String(value);
}

export default defineConfig({
  // Relative addresses, so that dist/ works from any sub-path.
  base: './',
  publicDir: 'static',
  plugins: [
    svelte(),
    contentPolicy(),
    process.env.TERRARIUM_RETIRE_OFFLINE === '1'
      ? retiredOffline()
      : VitePWA({
          strategies: 'injectManifest',
          srcDir: 'workers',
          filename: 'offline.sw.ts',
          // The page registers it itself (src/services/offline.ts).
          injectRegister: null,
          // static/manifest.webmanifest
          manifest: false,
          injectManifest: {
            globPatterns: ['**/*'],
            // Pretrained bodies are large and wanted by few: the service worker keeps one when it is first used.
            globIgnores: ['**/*.map', 'offline.sw.js', '.*', 'backbones/*.onnx'],
            maximumFileSizeToCacheInBytes: 64 * 2 ** 20,
            manifestTransforms: [
              async (entries) => ({
                manifest: await Promise.all(
                  entries.map(async ({ url, revision, size }) => {
                    const bytes = await readFile(join(outDir, url));
                    const sha256 = createHash('sha256').update(bytes).digest('hex');
                    return { url, revision, size, sha256, bytes: bytes.length };
                  }),
                ),
              }),
            ],
          },
        }),
  ],
  worker: { format: 'es' },
  build: {
    target: 'es2023',
    modulePreload: { polyfill: false },
    assetsInlineLimit: 0,
    rolldownOptions: { checks: { bundlerTimings: false } },
  },
  server: { headers: isolation },
});
