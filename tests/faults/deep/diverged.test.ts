/** Numbers that run away on the built studio: stopped, told why, and nothing wrong is kept. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { PhiloxStream } from '../../../src/core/philox';
import { modelsIn, runsIn } from '../../support/drilled';
import { everyByteHolds } from '../../support/home';
import { Journey } from '../../support/journey';
import { amiss } from '../../support/looks';
import { openStudio } from '../../support/studio';
import type { Opened } from '../../support/studio';
import { trainWith } from '../../support/train-screen';

let folder: string;
let studio: Opened;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'terrarium-diverged-'));
  studio = await openStudio({ context: { acceptDownloads: true } });
}, 180_000);

afterAll(async () => {
  await studio.close();
  await rm(folder, { recursive: true });
});

it('a learning rate that grows until the numbers run away: the best weights before it are the model', async () => {
  const { page, url } = studio;
  const path = join(folder, 'plane.csv');
  const chance = new PhiloxStream(5, 'plane');
  const rows = Array.from({ length: 1_000 }, () => {
    const [a, b] = [chance.below(1_000) / 100, chance.below(1_000) / 100];
    return `${a},${b},${(3 * a - 2 * b + chance.below(100) / 100).toFixed(2)}`;
  });
  await writeFile(path, ['a,b,y', ...rows, ''].join('\n'));
  const journey = new Journey({ page, url, folder, patience: 120_000 });
  await journey.importTable(path);
  await journey.choose('y');
  await journey.train();
  const [first] = await modelsIn(page);

  await trainWith(page, [
    ['Epochs', '40'],
    ['Batch', '32'],
    ['Learning rate', '10'],
    ['Optimiser', 'sgd'],
    ['Warm-up', '100'],
    ['Gradient clipping', '0'],
    ['Early stop', '0'],
  ]);
  await page.getByRole('heading', { name: 'The numbers ran away' }).waitFor({ timeout: 180_000 });
  await page.getByText('The learning rate was').waitFor();
  await page.getByText('Gradients were not clipped').waitFor();
  expect(await amiss(page, 'the numbers ran away')).toEqual([]);

  const run = (await runsIn(page)).find(({ divergence }) => divergence !== undefined);
  expect(run?.status).toBe('stopped');
  expect(run?.divergence?.step).toBeLessThan(40 * 32);
  expect(run?.divergence?.keptEpoch).toBeGreaterThan(0);
  const losses = run?.curve.map(({ loss }) => loss) ?? [];
  expect(losses.length).toBeGreaterThan(50);
  expect(losses.every(Number.isFinite)).toBe(true);
  const models = await modelsIn(page);
  expect(models.map(({ id }) => id)).toContain(first?.id);
  expect(models.filter(({ runId }) => runId === run?.id)).toHaveLength(1);

  await page.getByRole('button', { name: 'Try again with a tenth of the learning rate' }).click();
  await expect
    .poll(async () => (await runsIn(page)).map(({ config }) => config.training.learningRate), {
      timeout: 60_000,
    })
    .toContain(1);
  await everyByteHolds(page, url);
}, 600_000);
