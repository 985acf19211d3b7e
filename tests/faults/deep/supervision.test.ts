/** Workers that die, hang and are short of memory, on the built studio (fault checks 18 and 19). */
import { afterAll, beforeAll, expect, it } from 'vitest';
import { DrillPage, harmedRun, session } from '../../support/drilled';
import { openStudio } from '../../support/studio';
import type { Opened } from '../../support/studio';

let studio: Opened;

beforeAll(async () => {
  studio = await openStudio();
}, 180_000);
afterAll(() => studio.close());

it('a worker that is killed, one that hangs, and memory under pressure: the run recovers with the same weights', async () => {
  const { page, url } = studio;
  const drill = new DrillPage(page);
  await drill.open(url, 'wasm');
  await drill.start();
  await drill.harm('Kill the training worker');
  const cdp = await session(page);
  await cdp.send('Memory.simulatePressureNotification', { level: 'critical' });
  await drill.training(await drill.saved());
  // Noticed by its silence, long before the two minutes that a first compile may take.
  const began = Date.now();
  await drill.harm('Hang the worker');
  expect(Date.now() - began).toBeLessThan(60_000);
  const log = await drill.verdict();
  expect(log).toContain('It did not answer for 15 s');
  expect(log).toContain('Steps counted twice: 0.');
  expect(log).toContain('Weights equal: every bit.');
  const drilled = await harmedRun(page);
  expect(drilled?.incidents?.map(({ kind }) => kind)).toEqual([
    'worker-died',
    'resumed',
    'worker-died',
    'resumed',
  ]);
});
