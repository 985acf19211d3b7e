/** Batches in parts, and float16 with its loss scale, on the executors that train, against the reference. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Executor } from '../../../src/engine/executor';
import { createReferenceExecutor } from '../../../src/engine/reference/executor';
import { createWasmExecutor } from '../../../src/engine/wasm/executor';
import { createWebgpuExecutor } from '../../../src/engine/webgpu/executor';
import type { WebgpuExecutor } from '../../../src/engine/webgpu/executor';
import type { TrainingConfig } from '../../../src/protocol/entities';
import { BLOB_CONFIG, BLOB_TRAINING } from '../../support/blobs';
import { trainBlobs } from '../../support/run-loop';
import type { BlobRun } from '../../support/run-loop';

const EXECUTORS: [string, () => Promise<Executor>][] = [
  ['webgpu', () => createWebgpuExecutor()],
  ['wasm', () => createWasmExecutor()],
];

const configOf = (change: Partial<TrainingConfig>) => ({
  ...BLOB_CONFIG,
  training: { ...BLOB_TRAINING, epochs: 3, ...change },
});

function expectLike(run: BlobRun, reference: BlobRun, tolerance: number): void {
  const { curve } = reference.summary.loop;
  expect(run.summary.loop.curve).toHaveLength(curve.length);
  curve.forEach(({ loss, step }, i) => {
    const own = run.summary.loop.curve[i];
    expect(own?.step).toBe(step);
    expect(Math.abs((own?.loss ?? NaN) - loss), `step ${step}`).toBeLessThan(tolerance);
  });
}

describe.each(EXECUTORS)('on %s', (_, open) => {
  it('a run in parts is that of whole batches, and resumes bit for bit', async () => {
    const executor = await open();
    try {
      const reference = await trainBlobs(createReferenceExecutor(), configOf({}));
      const config = configOf({ accumulate: 4 });
      const run = await trainBlobs(executor, config);
      expectLike(run, reference, 1e-3);
      const checkpoint = run.checkpoints.find(({ step }) => step === 13) ?? null;
      const resumed = await trainBlobs(executor, config, checkpoint);
      expect(resumed.summary.state).toEqual(run.summary.state);
      expect(resumed.summary.loop.curve).toEqual(run.summary.loop.curve);
    } finally {
      executor.dispose();
    }
  });
});

/** Wide enough that what lies between its layers is worth storing as float16. */
const wide = (change: Partial<TrainingConfig>) => ({
  ...configOf({ learningRate: 0.003, epochs: 2, ...change }),
  blueprint: { kind: 'mlp', hidden: [64], activation: 'relu', dropout: 0 } as const,
});

describe('in float16', () => {
  let executor: WebgpuExecutor;
  beforeAll(async () => (executor = await createWebgpuExecutor()));
  afterAll(() => executor.dispose());

  it('a run learns what it learns in float32, and its loss scale is kept', async () => {
    expect(executor.precisions).toContain('float16');
    const whole = await trainBlobs(executor, wide({}));
    const config = wide({ precision: 'float16' });
    const run = await trainBlobs(executor, config);
    expectLike(run, whole, 0.01);
    // And yet not the same: it was float16.
    expect(run.summary.loop.curve).not.toEqual(whole.summary.loop.curve);
    expect(run.summary.loop.skipped).toEqual({ count: 0, steps: [], lossScale: 2 ** 16 });
    const checkpoint = run.checkpoints.find(({ step }) => step === 13) ?? null;
    const resumed = await trainBlobs(executor, config, checkpoint);
    expect(resumed.summary.state).toEqual(run.summary.state);
    expect(resumed.summary.loop).toMatchObject({
      curve: run.summary.loop.curve,
      skipped: run.summary.loop.skipped,
    });
  });

  it('a scale that overflows is halved until it does not', async () => {
    const { summary } = await trainBlobs(
      executor,
      wide({ precision: 'float16', lossScale: 2 ** 24 }),
    );
    const { count = 0, steps, lossScale } = summary.loop.skipped ?? {};
    expect(count).toBeGreaterThan(2);
    expect(count).toBeLessThan(summary.stepsDone);
    expect(lossScale).toBe(2 ** (24 - count));
    // Each halves it once, from the first step on.
    expect(steps?.slice(0, 3)).toEqual([1, 2, 3]);
    expect(steps).toHaveLength(count);
    expect(summary.loop.curve.every(({ loss }) => Number.isFinite(loss))).toBe(true);
  });
});
