// `npm run build`: the export page first (the studio serves it), then the studio itself into dist/.
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { binary, ensureInstalled, markBuilt, ROOT, runOrThrow } from './lib/setup.mjs';

// A test runner's NODE_ENV would otherwise build a development studio without its service worker.
process.env.NODE_ENV = 'production';

ensureInstalled();
if (existsSync(join(ROOT, 'tools/export-page.mjs')))
  runOrThrow(process.execPath, ['tools/export-page.mjs']);
runOrThrow(binary('vite'), ['build', '--logLevel', 'warn']);
markBuilt();
