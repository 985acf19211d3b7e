/**
 * A run that is broken off at any step and taken up again ends with the same model, bit for bit, as one that never
 * was: with dropout, batch norms, augmentation, accumulation, clipping, balanced classes, a schedule, early stopping
 * and, in float16, a loss scale that overflows at first. Hashes of the finished files are compared.
 */
import { describe, expect, it } from 'vitest';
import type { Executor } from '../../../src/engine/executor';
import { createReferenceExecutor } from '../../../src/engine/reference/executor';
import { createWasmExecutor } from '../../../src/engine/wasm/executor';
import { createWebgpuExecutor } from '../../../src/engine/webgpu/executor';
import { EVERYTHING, trainPictures } from '../../support/tiny-pictures';

const HALF = {
  ...EVERYTHING,
  training: { ...EVERYTHING.training, precision: 'float16', lossScale: 2 ** 24 },
} as const;

const CASES: readonly {
  readonly name: string;
  readonly open: () => Promise<Executor>;
  readonly config: typeof EVERYTHING;
}[] = [
  {
    name: 'reference',
    open: () => Promise.resolve(createReferenceExecutor()),
    config: EVERYTHING,
  },
  { name: 'wasm', open: () => createWasmExecutor(), config: EVERYTHING },
  { name: 'webgpu', open: () => createWebgpuExecutor(), config: EVERYTHING },
  { name: 'webgpu in float16', open: () => createWebgpuExecutor(), config: HALF },
];

describe.each(CASES)('a run on $name', ({ open, config }) => {
  it('ends the same when it was broken off after any step', { timeout: 240_000 }, async () => {
    const executor = await open();
    const whole = await trainPictures(executor, config);
    const saved = await trainPictures(executor, config, { saving: true });
    // All of it took place: it stopped early, and in float16 the first steps overflowed.
    expect(whole.summary.stepsDone).toBeLessThan(8 * 4);
    expect((whole.summary.loop.skipped?.count ?? 0) > 0).toBe(config === HALF);
    // Looking at it changes nothing.
    expect(saved.hash).toBe(whole.hash);
    const steps = saved.kept.map(({ checkpoint }) => checkpoint.step);
    expect(steps).toEqual(Array.from({ length: whole.summary.stepsDone }, (_, at) => at + 1));
    for (const from of saved.kept) {
      const again = await trainPictures(executor, config, { from });
      const place = `after step ${from.checkpoint.step}`;
      expect(again.hash, place).toBe(whole.hash);
      expect(again.summary.best, place).toEqual(whole.summary.best);
      // The curve has each step once, and the figures that it would have had.
      expect(again.summary.loop.curve, place).toEqual(whole.summary.loop.curve);
      expect(again.summary.loop.skipped, place).toEqual(whole.summary.loop.skipped);
    }
    executor.dispose();

    // What died took its engine with it: the end is the same on another one.
    const fresh = await open();
    const middle = saved.kept[Math.floor(saved.kept.length / 2)] ?? null;
    expect((await trainPictures(fresh, config, { from: middle })).hash).toBe(whole.hash);
    fresh.dispose();
  });
});

it('a checkpoint says on what it was made, in what precision and in which parts', async () => {
  const executor = await createWebgpuExecutor();
  const { kept } = await trainPictures(executor, HALF, { saving: true });
  expect(kept[3]?.checkpoint).toMatchObject({
    step: 4,
    executor: 'webgpu',
    precision: 'float16',
    rows: 4,
    planId: expect.stringContaining('float16') as string,
    loop: { skipped: { lossScale: expect.any(Number) as number } },
  });
  const names = kept[3]?.checkpoint.tensors.map(({ name }) => name) ?? [];
  expect(names).toContain('loss_scale');
  expect(names.some((name) => name.endsWith('/m'))).toBe(true);
  expect(names.some((name) => name.includes('running') || name.includes('mean'))).toBe(true);
  // Sums of micro-batches live within a step.
  expect(names.some((name) => name.endsWith('/sum'))).toBe(false);
  executor.dispose();
});
