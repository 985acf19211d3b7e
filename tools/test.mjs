// `npm test`: sets everything up, runs every check, and ends with `N passed, N failed`.
// `--long` adds what does not fit into the time of a normal run (tests/long).
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { ensureChromium } from './lib/chromium.mjs';
import { binary, ensureBuilt, ensureInstalled, ROOT } from './lib/setup.mjs';

const long = process.argv.includes('--long');
let passed = 0;
let failed = 0;

ensureInstalled();
const chromium = ensureChromium();
const env = { ...process.env, CHROMIUM: chromium, CI: process.env.CI ?? 'true' };
step('build', () => ensureBuilt());

check('format', 'prettier', ['--check', '--log-level', 'warn', '.']);
check('lint', 'eslint', ['.', '--max-warnings', '0']);
step('types', () => run(process.execPath, ['tools/types.mjs']));
for (const project of ['unit', 'browser', 'e2e', ...(long ? ['long'] : [])]) vitest(project);

console.log(`\n${passed} passed, ${failed} failed`);
process.exit(failed === 0 ? 0 : 1);

function run(command, args) {
  const result = spawnSync(command, args, { cwd: ROOT, stdio: 'inherit', env });
  if (result.status !== 0)
    throw new Error(`${args[0]} ended with ${result.status ?? result.signal}`);
}

function check(name, tool, args) {
  step(name, () => run(binary(tool), args));
}

function step(name, action) {
  const started = Date.now();
  try {
    action();
    passed++;
    console.log(`ok      ${name}  ${seconds(started)}`);
  } catch (error) {
    failed++;
    console.log(`FAILED  ${name}  ${seconds(started)}  ${error.message}`);
  }
}

/** Runs one Vitest project and adds its counts; a project that crashes or runs nothing is a failure. */
function vitest(project) {
  const started = Date.now();
  const report = join(ROOT, '.cache', `vitest-${project}.json`);
  mkdirSync(join(ROOT, '.cache'), { recursive: true });
  rmSync(report, { force: true });
  const result = spawnSync(
    binary('vitest'),
    [
      'run',
      '--project',
      project,
      '--reporter=default',
      '--reporter=json',
      `--outputFile.json=${report}`,
    ],
    { cwd: ROOT, stdio: 'inherit', env },
  );
  const counts = existsSync(report)
    ? JSON.parse(readFileSync(report, 'utf8'))
    : { numPassedTests: 0, numFailedTests: 0 };
  passed += counts.numPassedTests;
  // A file that does not load counts no test but fails the run.
  const unseen = result.status !== 0 && counts.numFailedTests === 0 ? 1 : 0;
  const empty = counts.numPassedTests + counts.numFailedTests === 0 && unseen === 0 ? 1 : 0;
  failed += counts.numFailedTests + unseen + empty;
  const ok = counts.numFailedTests + unseen + empty === 0;
  console.log(`${ok ? 'ok    ' : 'FAILED'}  ${project} tests  ${seconds(started)}`);
}

function seconds(since) {
  return `${((Date.now() - since) / 1000).toFixed(1)} s`;
}
