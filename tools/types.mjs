// `npm run types`: TypeScript for page, workers and tests (each with its own libraries), then svelte-check;
// and a canary that must fail, so that a checker that has stopped checking is noticed.
import { spawnSync } from 'node:child_process';
import { binary, ROOT, runOrThrow } from './lib/setup.mjs';

for (const project of ['.', 'workers', 'tests']) runOrThrow(binary('tsc'), ['-p', project]);
runOrThrow(binary('svelte-check'), [
  '--tsconfig',
  './tsconfig.json',
  '--fail-on-warnings',
  '--output',
  'human',
]);

const canary = spawnSync(
  binary('svelte-check'),
  ['--workspace', 'tests/fixtures/canary', '--tsconfig', 'tsconfig.json', '--output', 'machine'],
  {
    cwd: ROOT,
    encoding: 'utf8',
  },
);
if (canary.status === 0 || !canary.stdout.includes('Canary.svelte')) {
  console.error('svelte-check did not find the planted error in tests/fixtures/canary.');
  process.exit(1);
}
console.log('Types hold, and svelte-check still finds errors.');
