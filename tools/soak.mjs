// `npm run soak [-- --minutes N] [--keep]`: an hour of import, training, evaluation, compression and deletion in one page,
// and whether memory, storage, workers and GPU buffers return to where they were. `--keep` writes docs/bench/soak.json.
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { ensureBuilt, ensureInstalled, ROOT } from './lib/setup.mjs';
import { growth, soak } from './lib/soak.mjs';

const { values } = parseArgs({
  options: {
    minutes: { type: 'string', default: '60' },
    keep: { type: 'boolean', default: false },
  },
});
const minutes = Number(values.minutes);
if (!(minutes > 0)) throw new Error('--minutes takes a number above 0.');
ensureInstalled();
ensureBuilt();
// As many jobs a cycle as a training worker is kept for: each record finds one of the same age.
const records = await soak({ minutes, cycles: 6, rounds: 5, log: (line) => console.log(line) });
if (values.keep) {
  const path = join(ROOT, 'docs/bench/soak.json');
  await writeFile(path, `${JSON.stringify({ format: 1, minutes, records }, null, 1)}\n`);
  console.log(`Kept in ${path}`);
}
const problems = growth(records);
for (const problem of problems) console.log(`GREW  ${problem}`);
console.log(problems.length === 0 ? 'All of it returned to where it was.' : 'Something grows.');
process.exit(problems.length === 0 ? 0 : 1);
