// `npm run faults`: every fault check, with the many rounds that do not fit into `npm test`: kills, torn profiles,
// corrupted files, and 10,000 mutations of every kind of file. The seed is printed and can be given again:
// TERRARIUM_SEED=… npm run faults.
import { ensureBuilt } from './lib/setup.mjs';
import { Suite } from './lib/suite.mjs';

const seed = process.env.TERRARIUM_SEED ?? String(Date.now() % 2 ** 31);
console.log(`Seed ${seed}`);
const suite = new Suite({ TERRARIUM_SEED: seed, TERRARIUM_ROUNDS: 'many' });

await suite.step('build', () => ensureBuilt());
suite.vitest('unit', ['tests/unit/hostile']);
suite.vitest('browser', ['tests/browser/hostile', 'tests/browser/storage']);
suite.vitest('faults');
suite.vitest('deep-faults');
suite.end();
