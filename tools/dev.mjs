// `npm run dev`: Vite's own server with isolation headers, for working on the studio.
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { binary, ensureInstalled, ROOT, runOrThrow } from './lib/setup.mjs';

ensureInstalled();
if (existsSync(join(ROOT, 'tools/export-page.mjs')))
  runOrThrow(process.execPath, ['tools/export-page.mjs']);
runOrThrow(binary('vite'), ['--host', '127.0.0.1', ...process.argv.slice(2)]);
