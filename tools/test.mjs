// `npm test`: sets everything up, runs every check, and ends with `N passed, N failed`.
// `--long` adds what does not fit into the time of a normal run (tests/long).
import { ensureBuilt, binary } from './lib/setup.mjs';
import { Suite } from './lib/suite.mjs';

const long = process.argv.includes('--long');
const suite = new Suite();

await suite.step('build', () => ensureBuilt());
await suite.checks({
  format: [binary('prettier'), '--check', '--log-level', 'warn', '.'],
  lint: [binary('eslint'), '.', '--max-warnings', '0'],
  types: [process.execPath, 'tools/types.mjs'],
});
for (const project of ['unit', 'browser', 'e2e', 'faults', ...(long ? ['long'] : [])]) {
  suite.vitest(project);
}
suite.end();
