import { describe, expect, it, vi } from 'vitest';
import type { EstimateMemoryRequest, ProbeReport } from '../../../src/protocol/api';
import { forecastMemory } from '../../../src/services/forecast';
import { runConfig } from '../../support/run-config';

const CONFIG = runConfig({ datasetId: 'd1', target: 'animal', task: 'classification' });
const PREPARED = { recipe: {}, parts: {}, classCounts: [], findings: [] };
const REPORT: ProbeReport = {
  ...{ chosen: 'webgpu', reason: '', wasm: { threads: 1, gflops: 1, stepMs: 1 } },
  webgpu: {
    ...{ label: 'GPU', gflops: 1, stepMs: 1, software: false },
    limits: { pieceBytes: 2 ** 27 },
    precisions: ['float32', 'float16'],
  },
};

async function asked(
  foreseen: { executor: 'webgpu' | 'wasm'; report: ProbeReport | null } | null,
  precision: 'float32' | 'float16' = 'float16',
): Promise<EstimateMemoryRequest | null> {
  const estimate = vi.fn(async (_: EstimateMemoryRequest) => Promise.resolve({ total: 7 }));
  const workers = {
    train: Object.assign(Object.create(null) as never, { estimate }),
    data: Object.assign(Object.create(null) as never, {
      prepare: async () => Promise.resolve(PREPARED),
    }),
  };
  const config = { ...CONFIG, training: { ...CONFIG.training, precision } };
  const answer = await forecastMemory(workers, { foresee: async () => foreseen }, config);
  expect(answer).toEqual(foreseen === null ? null : { total: 7 });
  return estimate.mock.calls[0]?.[0] ?? null;
}

describe('the memory of a run to come', () => {
  it('is asked for with what the measured graphics processor has', async () => {
    expect(await asked({ executor: 'webgpu', report: REPORT })).toMatchObject({
      executor: 'webgpu',
      precision: 'float16',
      limits: { pieceBytes: 2 ** 27 },
      others: ['wasm'],
    });
  });

  it('is that of float32 where nothing else would be used', async () => {
    expect(await asked({ executor: 'wasm', report: REPORT })).toMatchObject({
      executor: 'wasm',
      precision: 'float32',
      others: [],
    });
    expect(await asked({ executor: 'webgpu', report: null })).toMatchObject({
      precision: 'float32',
      limits: null,
    });
  });

  it('is not asked for before it is known what would train', async () => {
    expect(await asked(null)).toBeNull();
  });
});
