import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { AppError } from '../../../src/core/errors';
import type { TrainApi, TrainOutcome, TrainRequest } from '../../../src/protocol/api';
import type { ModelVersion, Run, RunConfig } from '../../../src/protocol/entities';
import { resumeRun, startRun } from '../../../src/services/runs';
import type { RunEvent } from '../../../src/services/runs';
import type { WorkerSet } from '../../../src/services/workers';
import { BLOB_CONFIG, BLOB_RECIPE } from '../../support/blobs';

const CONFIG: RunConfig = {
  ...BLOB_CONFIG,
  format: 1,
  datasetId: 'd1',
  target: 'cloud',
  recipe: { format: 1, use: {}, imputeNumeric: 'median', standardise: true },
  split: { kind: 'stratified', train: 0.7, validation: 0.15, test: 0.15, seed: 1 },
  executor: 'auto',
};

const OUTCOME: TrainOutcome = {
  status: 'done',
  model: new ArrayBuffer(8),
  graphHash: 'trained',
  signature: { task: 'classification', classes: ['a', 'b', 'c'], inputs: [], outputs: [] },
  adapter: null,
  base: null,
  weights: 12,
  loop: {
    curve: [{ step: 1, epoch: 1, series: 'validation', loss: 0.5, metric: 0.9 }],
    bestLoss: 0.5,
    bestEpoch: 1,
    bestMetric: 0.9,
    epochsWithoutGain: 0,
    seconds: 2,
    epochLossSum: 0,
    epochLossWeight: 0,
  },
  stepsDone: 10,
  seconds: 2,
  examplesPerSecond: 80,
  best: { epoch: 1, loss: 0.5, metric: 0.9, correct: 9, total: 10 },
};

interface Fake {
  readonly workers: WorkerSet;
  readonly records: Run[];
  readonly requests: TrainRequest[];
  readonly models: Partial<ModelVersion>[];
  readonly restarts: string[];
}

type Attempt = (request: TrainRequest, onEvent: Parameters<TrainApi['run']>[2]) => TrainOutcome;

/** Workers that keep the record and let each attempt at training be played. */
function fake(...attempts: Attempt[]): Fake {
  const records: Run[] = [];
  const requests: TrainRequest[] = [];
  const models: Partial<ModelVersion>[] = [];
  const restarts: string[] = [];
  const absent = new Proxy({}, { get: (_, name) => () => Promise.reject(new Error(String(name))) });
  const last = (): Run => {
    const run = records.at(-1);
    if (run === undefined) throw new Error('No run was recorded.');
    return run;
  };
  const store = Object.assign(Object.create(absent) as WorkerSet['store'], {
    createRun: async (draft: Omit<Run, 'id' | 'number'>) => {
      records.push({ ...draft, id: 'r1', number: 1 });
      return last();
    },
    getRun: async () => last(),
    getProject: async (id: string) => ({ id, name: 'Clouds' }),
    updateRun: async (_: string, change: Partial<Run>) => {
      records.push({ ...last(), ...change });
      return last();
    },
    putModel: async (model: Partial<ModelVersion>) => {
      models.push(model);
      return { ...model, id: 'm1' };
    },
  });
  const data = Object.assign(Object.create(absent) as WorkerSet['data'], {
    prepare: async () => ({
      recipe: BLOB_RECIPE,
      parts: { train: 7, validation: 2, test: 1 },
      classCounts: [3, 2, 2],
      findings: [],
    }),
    serveBatches: async (_: RunConfig, port: MessagePort) => port.close(),
  });
  const train = Object.assign(Object.create(absent) as WorkerSet['train'], {
    run: async (
      request: TrainRequest,
      port: MessagePort,
      onEvent: Parameters<TrainApi['run']>[2],
    ) => {
      port.close();
      requests.push(request);
      const attempt = attempts.shift();
      if (attempt === undefined) throw new Error('More attempts than played.');
      return attempt(request, onEvent);
    },
  });
  const workers: WorkerSet = {
    store,
    data,
    train,
    infer: absent as WorkerSet['infer'],
    storeStatus: () => Promise.reject(new Error('Not asked.')),
    cancel: () => Promise.resolve(),
    restartTraining: (reason) => restarts.push(reason),
    terminate: () => undefined,
  };
  return { workers, records, requests, models, restarts };
}

const device = {
  choose: async (choice: string) => ({
    executor: choice === 'auto' ? ('webgpu' as const) : (choice as 'wasm'),
    reason: 'It was faster.',
  }),
};
const request = { projectId: 'p1', config: CONFIG, name: 'First', role: 'model' } as const;
const lost: Attempt = (_, onEvent) => {
  onEvent({ type: 'lost', reason: 'It was unplugged.', step: 4 });
  throw new AppError('engine/device-lost', 'The device went away.');
};
const done: Attempt = (_, onEvent) => {
  onEvent({
    type: 'started',
    planId: 'plan',
    label: 'a GPU',
    graphHash: 'fresh',
    stepsTotal: 10,
    weights: 12,
    canProfile: false,
  });
  return OUTCOME;
};

// A browser without a wake lock.
beforeAll(() => vi.stubGlobal('navigator', {}));
afterAll(() => vi.unstubAllGlobals());

describe('a run', () => {
  it('leads from its configuration to a stored model and a true record', async () => {
    const { workers, records, models, requests } = fake(done);
    const events: RunEvent[] = [];
    const handle = await startRun(workers, device, request, (event) => events.push(event));
    const { run, model } = await handle.finished;
    expect(requests).toEqual([
      expect.objectContaining({ runId: 'r1', executor: 'webgpu', resume: false }),
    ]);
    expect(model.id).toBe('m1');
    expect(models).toEqual([
      expect.objectContaining({ name: 'First', kind: 'float32', runId: 'r1', weights: 12 }),
    ]);
    expect(run).toMatchObject({
      status: 'done',
      modelVersionId: 'm1',
      best: OUTCOME.best,
      curve: OUTCOME.loop.curve,
      graphHash: 'trained',
      device: { executor: 'webgpu', reason: 'It was faster.', planId: 'plan', label: 'a GPU' },
    });
    expect(records.map(({ status }) => status)).toEqual(['preparing', 'running', 'done']);
    expect(events[0]).toMatchObject({ type: 'phase' });
  });

  it('goes on from its checkpoint on a new device when the device is lost', async () => {
    const { workers, records, requests, restarts } = fake(lost, done);
    const handle = await startRun(workers, device, request, () => undefined);
    await expect(handle.finished).resolves.toBeDefined();
    expect(records.map(({ status, error }) => [status, error?.message ?? null])).toEqual([
      ['preparing', null],
      ['preparing', 'It was unplugged.'],
      ['running', null],
      ['done', null],
    ]);
    expect(requests.map(({ executor, resume }) => [executor, resume])).toEqual([
      ['webgpu', false],
      ['webgpu', true],
    ]);
    expect(restarts).toHaveLength(1);
  });

  it('moves to the processor when the device is lost twice', async () => {
    const { workers, requests } = fake(lost, lost, done);
    const handle = await startRun(workers, device, request, () => undefined);
    const { run } = await handle.finished;
    expect(requests.map(({ executor }) => executor)).toEqual(['webgpu', 'webgpu', 'wasm']);
    expect(run.device).toMatchObject({
      executor: 'wasm',
      reason: expect.stringContaining('lost twice') as string,
    });
  });

  it.each([
    ['worker/died', 'interrupted'],
    ['engine/no-webgpu', 'failed'],
    ['training/diverged', 'failed'],
  ] as const)('records %s as %s', async (code, status) => {
    const { workers, records } = fake(() => {
      throw new AppError(code, 'It ended.');
    });
    const handle = await startRun(workers, device, request, () => undefined);
    await expect(handle.finished).rejects.toMatchObject({ code });
    expect(records.at(-1)).toMatchObject({ status, error: { code, message: 'It ended.' } });
  });

  it('is interrupted, not done, where no engine is left to go on', async () => {
    // The engine is lost on the processor too, which ends the attempts.
    const { workers, records, models } = fake(lost, lost, lost);
    const handle = await startRun(workers, device, request, () => undefined);
    await expect(handle.finished).rejects.toMatchObject({ code: 'engine/device-lost' });
    expect(records.at(-1)).toMatchObject({
      status: 'interrupted',
      modelVersionId: null,
      error: { code: 'engine/device-lost' },
    });
    expect(models).toEqual([]);
  });

  it('records what it was computed in, in which parts, and what was skipped', async () => {
    const skipped = { count: 2, steps: [3, 9], lossScale: 32_768 };
    const { workers, records } = fake((_, onEvent) => {
      onEvent({
        type: 'started',
        planId: 'webgpu/f16',
        label: 'a GPU',
        graphHash: 'fresh',
        stepsTotal: 10,
        weights: 12,
        canProfile: false,
        precision: 'float16',
        microBatch: { rows: 8, batchNorm: true },
      });
      onEvent({
        type: 'points',
        points: [],
        step: 5,
        secondsLeft: 1,
        examplesPerSecond: 1,
        stepMs: 1,
        skipped: { ...skipped, count: 1, steps: [3] },
      });
      onEvent({ type: 'checkpoint', step: 5 });
      return { ...OUTCOME, loop: { ...OUTCOME.loop, skipped } };
    });
    const { run } = await (await startRun(workers, device, request, () => undefined)).finished;
    expect(run).toMatchObject({
      device: { planId: 'webgpu/f16' },
      precision: 'float16',
      microBatch: { rows: 8, batchNorm: true },
      skipped,
    });
    expect(records.at(-2)).toMatchObject({ stepsDone: 5, skipped: { count: 1, steps: [3] } });
  });

  it('is refused while another trains, in words and without a trace', async () => {
    let letGo = (): void => undefined;
    const held = new Promise<void>((resolve) => (letGo = resolve));
    const { workers, records, requests } = fake(done, done);
    const { run } = workers.train;
    vi.spyOn(workers.train, 'run').mockImplementationOnce(async (...args) => {
      await held;
      return run(...args);
    });
    const first = await startRun(workers, device, request, () => undefined);
    const before = records.length;
    const heard = vi.fn();
    const second = { ...request, projectId: 'p2', name: 'Second' };
    const refusal = {
      code: 'training/busy',
      message: expect.stringContaining('“First” of the project “Clouds” is training.') as string,
      data: { projectId: 'p1', run: 'First' },
    };
    await expect(startRun(workers, device, second, heard)).rejects.toMatchObject(refusal);
    await expect(resumeRun(workers, device, 'r1', heard)).rejects.toMatchObject(refusal);
    expect(records).toHaveLength(before);
    expect(heard).not.toHaveBeenCalled();
    letGo();
    await first.finished;
    const third = await startRun(workers, device, second, heard);
    await third.finished;
    expect(requests).toHaveLength(2);
  });

  it('that cannot begin lets the next one begin', async () => {
    const { workers } = fake(done);
    const refusal = new AppError('split/empty', 'No rows.');
    vi.spyOn(workers.data, 'prepare').mockRejectedValueOnce(refusal);
    await expect(startRun(workers, device, request, () => undefined)).rejects.toMatchObject({
      code: 'split/empty',
    });
    const handle = await startRun(workers, device, request, () => undefined);
    await expect(handle.finished).resolves.toBeDefined();
  });

  it('resumes on the executor that it ran on', async () => {
    const { workers, records, requests } = fake(done, done);
    const first = await startRun(workers, device, request, () => undefined);
    await first.finished;
    const kept = records.at(-1);
    if (kept?.device) records.push({ ...kept, device: { ...kept.device, executor: 'wasm' } });
    const second = await resumeRun(workers, device, 'r1', () => undefined);
    await second.finished;
    expect(requests.at(-1)).toMatchObject({ executor: 'wasm', resume: true });
  });
});
