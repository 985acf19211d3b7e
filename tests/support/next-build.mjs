// A build of the studio as the next version would be: its Settings screen differs, and with it the name of every
// script on the way there. `node next-build.mjs OUT`, in a process of its own: a test's environment is not a build's.
import { join } from 'node:path';
import { build } from 'vite';
import { ROOT } from '../../tools/lib/setup.mjs';

await build({
  root: ROOT,
  logLevel: 'error',
  configFile: join(ROOT, 'vite.config.ts'),
  plugins: [
    {
      name: 'next-build',
      transform: (code, id) =>
        id.endsWith('/messages/en-settings.ts')
          ? `${code}\nglobalThis.nextBuild = true;`
          : undefined,
    },
  ],
  build: { outDir: process.argv[2], emptyOutDir: true },
});
