import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
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
  /** What the store says, one after the other, when a run is to be finished. */
  readonly refusals: AppError[];
}

type Attempt = (
  request: TrainRequest,
  onEvent: Parameters<TrainApi['run']>[2],
) => TrainOutcome | Promise<TrainOutcome>;

/** Workers that keep the record and let each attempt at training be played. */
function fake(...attempts: Attempt[]): Fake {
  const records: Run[] = [];
  const requests: TrainRequest[] = [];
  const models: Partial<ModelVersion>[] = [];
  const restarts: string[] = [];
  const refusals: AppError[] = [];
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
    finishRun: async (_: string, change: Partial<Run>, model: Partial<ModelVersion>) => {
      const refusal = refusals.shift();
      if (refusal) throw refusal;
      models.push(model);
      records.push({ ...last(), ...change, modelVersionId: 'm1' });
      return { run: last(), model: { ...model, id: 'm1' } };
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
    expectSteps: () => undefined,
    trained: () => undefined,
    terminate: () => undefined,
    onTrouble: () => undefined,
    salvage: () => Promise.reject(new Error('Not asked.')),
    onOpened: () => undefined,
    onSaved: () => undefined,
    onUnreadable: () => undefined,
    reopenStore: () => Promise.reject(new Error('Not asked.')),
    forgetData: () => undefined,
  };
  return { workers, records, requests, models, restarts, refusals };
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
const STARTED = {
  type: 'started',
  planId: 'plan',
  label: 'a GPU',
  graphHash: 'fresh',
  stepsTotal: 10,
  weights: 12,
  canProfile: false,
} as const;
const done: Attempt = (_, onEvent) => {
  onEvent(STARTED);
  return OUTCOME;
};
const RECORD: Omit<Run, 'id' | 'number'> = {
  projectId: 'p1',
  name: 'First',
  role: 'model',
  config: CONFIG,
  status: 'interrupted',
  createdAt: 0,
  finishedAt: null,
  device: null,
  graphHash: null,
  codeVersion: '0',
  curve: [],
  best: null,
  seconds: 0,
  examplesPerSecond: 0,
  stepsDone: 4,
  stepsTotal: 10,
  modelVersionId: null,
  error: null,
};

// A browser without a wake lock.
beforeEach(() => vi.stubGlobal('navigator', {}));
afterEach(() => vi.unstubAllGlobals());

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

  it('keeps its end where the news of an earlier checkpoint comes after it', async () => {
    let late = (): void => undefined;
    const { workers, records } = fake((_, onEvent) => {
      late = () => onEvent({ type: 'checkpoint', step: 5 });
      return OUTCOME;
    });
    await (
      await startRun(workers, device, request, () => undefined)
    ).finished;
    late();
    await new Promise((resolve) => setTimeout(resolve, 0));
    expect(records.at(-1)).toMatchObject({ status: 'done', stepsDone: 10 });
  });

  it('goes on from its checkpoint on a new device when the device is lost', async () => {
    const { workers, records, requests, restarts } = fake(lost, done);
    const handle = await startRun(workers, device, request, () => undefined);
    await expect(handle.finished).resolves.toBeDefined();
    expect(records.map(({ status, error }) => [status, error?.message ?? null])).toEqual([
      ['preparing', null],
      ['preparing', 'It was unplugged.'],
      // With what befell it in its record.
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
    const ends = () => {
      throw new AppError(code, 'It ended.');
    };
    const { workers, records } = fake(ends, ends, ends);
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

  it('goes on from its checkpoint in a new worker when the worker dies, and says so', async () => {
    const died: Attempt = () => {
      throw new AppError('worker/died', 'It crashed.', { reason: 'It crashed.', told: null });
    };
    const resumed: Attempt = (request, onEvent) => {
      onEvent({ ...STARTED, resumed: { step: 6, executor: 'webgpu', planId: 'other', curve: [] } });
      return done(request, () => undefined);
    };
    const { workers, requests } = fake(died, resumed);
    const { run } = await (await startRun(workers, device, request, () => undefined)).finished;
    expect(requests.map(({ resume }) => resume)).toEqual([false, true]);
    expect(run.incidents).toMatchObject([
      { kind: 'worker-died', reason: 'It crashed.' },
      // Other kernels round otherwise: that the end may differ is in the record.
      { kind: 'resumed', step: 6, exact: false, before: { planId: 'other' }, planId: 'plan' },
    ]);
  });

  it('records a checkpoint that it could not ask for when the page was hidden; a worker that is gone is no news', async () => {
    const hidden = Object.assign(new EventTarget(), { hidden: true });
    vi.stubGlobal('document', hidden);
    vi.stubGlobal('addEventListener', () => undefined);
    vi.stubGlobal('removeEventListener', () => undefined);
    const checkpoint = vi
      .fn(async (): Promise<void> => Promise.resolve())
      .mockRejectedValueOnce(new AppError('worker/died', 'It was ended.'))
      .mockRejectedValueOnce(new AppError('internal/invariant', 'No such run.'));
    const left: Attempt = async (asked, onEvent) => {
      for (const call of [1, 2, 3]) {
        hidden.dispatchEvent(new Event('visibilitychange'));
        expect(checkpoint).toHaveBeenCalledTimes(call);
        await Promise.allSettled(checkpoint.mock.results.map(({ value }) => value as unknown));
      }
      return done(asked, onEvent);
    };
    const { workers } = fake(left);
    Object.assign(workers.train, { checkpoint });
    const { run } = await (await startRun(workers, device, request, () => undefined)).finished;
    expect(run).toMatchObject({
      status: 'done',
      incidents: [{ kind: 'checkpoint-missed', reason: 'No such run.' }],
    });
    // Hidden once more after its end: nobody listens.
    hidden.dispatchEvent(new Event('visibilitychange'));
    expect(checkpoint).toHaveBeenCalledTimes(3);
  });

  it('halves its batch once when memory runs out, and then says what to do', async () => {
    const noRoom: Attempt = () => {
      throw new AppError('engine/memory', 'Not given.');
    };
    const { workers, requests, records } = fake(noRoom, noRoom);
    const batchSize = CONFIG.training.batchSize;
    const handle = await startRun(workers, device, request, () => undefined);
    await expect(handle.finished).rejects.toMatchObject({
      code: 'training/out-of-memory',
      message: expect.stringContaining('smaller model') as string,
    });
    expect(requests.map(({ config }) => config.training.accumulate ?? 1)).toEqual([1, 2]);
    expect(records.at(-1)).toMatchObject({
      status: 'failed',
      incidents: [{ kind: 'divided', rows: batchSize / 2 }],
    });
  });

  it('keeps the division of its batch when it is taken up again', async () => {
    const { workers, requests, records } = fake(done);
    const store = workers.store;
    await store.createRun({
      ...RECORD,
      microBatch: { rows: CONFIG.training.batchSize / 4, batchNorm: false },
    });
    const handle = await resumeRun(workers, device, records[0]?.id ?? '', () => undefined);
    await handle.finished;
    expect(requests[0]?.config.training.accumulate).toBe(4);
  });

  it('waits with its finished model until there is room, and offers it as a file', async () => {
    const { workers, refusals, models } = fake(done);
    refusals.push(new AppError('store/quota', 'No room.'), new AppError('store/quota', 'No room.'));
    const events: RunEvent[] = [];
    const handle = await startRun(workers, device, request, (event) => {
      events.push(event);
      if (event.type !== 'full') return;
      rescued.push(handle.rescue());
      setTimeout(() => void handle.resume(), 1);
    });
    const rescued: Promise<unknown>[] = [];
    const { run } = await handle.finished;
    expect(run.status).toBe('done');
    expect(models).toHaveLength(1);
    expect(events.filter(({ type }) => type === 'full')).toHaveLength(2);
    expect(await rescued[0]).toMatchObject({ name: 'First.onnx', bytes: OUTCOME.model });
  });

  it('finishes though the store dies under its end', async () => {
    const { workers, refusals, models } = fake(done);
    refusals.push(new AppError('worker/died', 'The store stopped.'));
    const handle = await startRun(workers, device, request, () => undefined);
    expect((await handle.finished).run.status).toBe('done');
    expect(models).toHaveLength(1);
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
