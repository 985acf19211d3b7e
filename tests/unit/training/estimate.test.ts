import { describe, expect, it } from 'vitest';
import type { GpuDevice } from '../../../src/engine/device';
import { WebgpuExecutor } from '../../../src/engine/webgpu/executor';
import type { BlueprintConfig, FittedRecipe } from '../../../src/protocol/entities';
import { estimateMemory, tooLarge } from '../../../src/training/estimate';
import type { EstimateRequest } from '../../../src/training/estimate';
import type { SessionConfig } from '../../../src/training/run-graphs';
import { openSession } from '../../../src/training/session';
import { BLOB_RECIPE, BLOB_TRAINING } from '../../support/blobs';
import { StubDevice } from '../../support/stub-device';

const SIDE = 16;
const PICTURES: FittedRecipe = {
  format: 1,
  input: { type: 'images', channels: 3, height: SIDE, width: SIDE },
  featureDims: [3, SIDE, SIDE],
  target: { task: 'classification', column: 'label', classes: ['a', 'b', 'c', 'd'] },
};
const MLP: BlueprintConfig = { kind: 'mlp', hidden: [96, 96], activation: 'gelu', dropout: 0.1 };

const CNN: BlueprintConfig = {
  ...{ kind: 'cnn', channels: [16, 32], batchNorm: true, pool: 'max' },
  ...{ globalPool: true, dense: 0, dropout: 0.1 },
};

function request(
  training: Partial<SessionConfig['training']> = {},
  rest: Partial<EstimateRequest> = {},
): EstimateRequest {
  const config = {
    task: 'classification',
    blueprint: MLP,
    training: { ...BLOB_TRAINING, batchSize: 8192, ...training },
    seed: 1,
  } as const;
  return {
    ...{ config, recipe: PICTURES, executor: 'webgpu', precision: 'float32' },
    ...{ lesson: null, looked: false, limits: null, others: [] },
    ...rest,
  };
}

/** Bytes of device memory that a session really asks for, its snapshot included. */
async function counted({ config, recipe }: EstimateRequest): Promise<number> {
  const device = new StubDevice({ features: ['shader-f16'] });
  const gpu: GpuDevice = {
    ...{ device, info: device.adapterInfo, label: device.label, software: false },
    ...{ failure: () => undefined, lost: new Promise(() => undefined) },
    ...{ isLost: () => false, close: () => undefined },
  };
  const executor = new WebgpuExecutor(gpu);
  const parts = { train: 640, validation: 128, test: 0 };
  const session = await openSession(executor, config, { recipe, parts });
  await session.state.snapshot();
  const { bytes } = executor.memory;
  session.dispose();
  executor.dispose();
  return bytes;
}

describe('an estimate of memory', () => {
  it.each([
    ['whole batches', {}],
    ['batches in parts', { accumulate: 4 }],
    ['float16', { precision: 'float16', batchSize: 16_384 }],
  ] as const)('is what a device is asked for: %s', async (_, training) => {
    const precision = 'precision' in training ? training.precision : 'float32';
    const asked = request(training, { precision });
    const { total, arena, state } = await estimateMemory(asked);
    const real = await counted(asked);
    expect(Math.abs(total / real - 1)).toBeLessThan(0.15);
    expect(arena).toBeGreaterThan(state);
  });

  it.each([1, 4])('is that of a network of filters too, in %i parts', async (accumulate) => {
    const { config } = request({ accumulate, batchSize: 256 });
    const asked = request({}, { config: { ...config, blueprint: CNN } });
    const { total } = await estimateMemory(asked);
    expect(Math.abs(total / (await counted(asked)) - 1)).toBeLessThan(0.15);
  });

  it('falls with the parts of a batch, and with float16', async () => {
    const whole = await estimateMemory(request());
    const parts = await estimateMemory(request({ accumulate: 8 }));
    const half = await estimateMemory(request({}, { precision: 'float16' }));
    expect(parts.arena).toBeLessThan(whole.arena / 4);
    expect(half.arena).toBeLessThan(whole.arena);
    // The sums take as much as the weights that learn.
    expect(parts.state).toBeGreaterThan(whole.state * 1.3);
  });

  it('counts values that live at once where a graph runs node by node', async () => {
    const blueprint = { kind: 'linear' } as const;
    const config = { ...request().config, blueprint };
    const asked = request({}, { config, recipe: BLOB_RECIPE, executor: 'wasm' });
    const { state, feeds, limit, fits } = await estimateMemory(asked);
    // Weight and bias of 3 × 2 + 3, each with two moments.
    expect(state).toBe(9 * 3 * 4);
    // Rows, labels and their weights, learning and checking, and three scalars.
    expect(feeds).toBe(2 * (8192 * 2 + 8192 + 8192) * 4 + 3 * 4);
    expect([limit, fits]).toEqual([{ of: 'total', bytes: 2 ** 32 }, true]);
  });
});

describe('a run that does not fit', () => {
  it('is told the smallest change that would do', async () => {
    const { largest } = await estimateMemory(request());
    const limits = { pieceBytes: largest / 3 };
    const estimate = await estimateMemory(request({}, { limits, others: ['wasm'] }));
    expect(estimate.fits).toBe(false);
    const [parts, batch, other] = estimate.remedies;
    expect(parts).toMatchObject({ kind: 'accumulate', accumulate: 4, rows: 2048 });
    expect(batch).toMatchObject({ kind: 'batch', batchSize: 2048 });
    expect(other).toMatchObject({ kind: 'executor', executor: 'wasm' });
    for (const change of [{ accumulate: 4 }, { batchSize: 2048 }]) {
      expect((await estimateMemory(request(change, { limits }))).fits).toBe(true);
    }
    expect((await estimateMemory(request({ accumulate: 2 }, { limits }))).fits).toBe(false);

    const { code, message } = tooLarge(estimate);
    expect(code).toBe('training/memory');
    expect(message).toMatch(
      /^This run needs \d+ MB in one piece, and the graphics processor takes at most \d+ MB\. What would fit: batches in 4 parts of 2048 rows \(\d+ MB\), or a batch size of 2048 \(\d+ MB\), or the processor \(\d+ MB\)\.$/,
    );
  });

  it('is told so where no batch is small enough', async () => {
    const { state } = await estimateMemory(request());
    const limits = { pieceBytes: state - 4 };
    const estimate = await estimateMemory(request({}, { limits }));
    expect(estimate.remedies).toEqual([]);
    expect(tooLarge(estimate).message).toContain('choose a smaller model');
  });

  it('is never refused by what is not known', async () => {
    expect(await estimateMemory(request())).toMatchObject({ limit: null, fits: true });
  });
});
