import { afterEach, describe, expect, it } from 'vitest';
import { InferenceSession, Tensor } from 'onnxruntime-node';
import { AppError } from '../../../src/core/errors';
import { compileRecipe } from '../../../src/data/recipe/compile';
import type { Executor } from '../../../src/engine/executor';
import { createReferenceExecutor } from '../../../src/engine/reference/executor';
import type { TrainEvent, TrainOutcome, TrainRequest } from '../../../src/protocol/api';
import type { BatchReply, BatchRequest } from '../../../src/protocol/batches';
import type { Checkpoint, RunConfig } from '../../../src/protocol/entities';
import { PortBatchSource } from '../../../src/training/batch-source';
import type { OpenedExecutor } from '../../../src/training/executors';
import { createTrainApi } from '../../../src/training/train-api';
import { BLOB_CONFIG, BLOB_RECIPE, BLOB_TRAINING, blobs } from '../../support/blobs';
import { InMemoryBatches } from '../../support/in-memory-batches';

const CONFIG: RunConfig = {
  ...BLOB_CONFIG,
  format: 1,
  datasetId: 'd1',
  target: 'cloud',
  recipe: { format: 1, use: {}, imputeNumeric: 'median', standardise: true },
  split: { kind: 'stratified', train: 0.7, validation: 0.15, test: 0.15, seed: 1 },
  executor: 'reference',
};

const REQUEST: TrainRequest = {
  runId: 'r1',
  config: CONFIG,
  prepared: {
    recipe: BLOB_RECIPE,
    parts: { train: 150, validation: 45, test: 0 },
    classCounts: [75, 50, 25],
    findings: [],
  },
  executor: 'reference',
  resume: false,
  checkpointEverySeconds: 0,
};

const ports: MessagePort[] = [];
afterEach(() => {
  for (const port of ports.splice(0)) port.close();
});

/** The data worker's end of a batch port; counts the buffers that come back. */
function served(answer?: (request: BatchRequest) => BatchReply | null): {
  port: MessagePort;
  recycled: () => number;
} {
  const { port1, port2 } = new MessageChannel();
  ports.push(port1, port2);
  const source = new InMemoryBatches({ train: blobs(150, 1), validation: blobs(45, 2) }, 16);
  let recycled = 0;
  port1.onmessage = async ({ data: request }: MessageEvent<BatchRequest>) => {
    if (request.recycle !== null) recycled++;
    const played = answer?.(request);
    if (played === null) return;
    const { part, epoch, index } = request;
    const { features, labels, weights, rows } = await source.next({ part, epoch, index });
    port1.postMessage(
      played ?? {
        type: 'batch',
        part,
        epoch,
        index,
        features: features.buffer,
        labels: labels.buffer,
        weights: weights.buffer,
        rows,
      },
    );
  };
  return { port: port2, recycled: () => recycled };
}

interface Kept {
  readonly checkpoint: Checkpoint;
  readonly state: ArrayBuffer;
  readonly best: ArrayBuffer | null;
}

function trainer(
  kept: Kept[] = [],
  opened: Partial<OpenedExecutor> = {},
): ReturnType<typeof createTrainApi> {
  const api = createTrainApi({
    compileRecipe,
    openExecutor: async () => ({
      executor: createReferenceExecutor(),
      label: 'the reference',
      ...opened,
    }),
    probe: () => Promise.reject(new Error('Not asked.')),
    readStatic: () => Promise.reject(new Error('Not asked.')),
    openStore: () => ({
      putCheckpoint: async (checkpoint, state, best) => {
        const chunk = { sha256: '', storageKey: '', bytes: 0 };
        const record = {
          ...checkpoint,
          format: 1,
          createdAt: 0,
          state: chunk,
          best: chunk,
        } as const;
        kept.push(structuredClone({ checkpoint: record, state, best }));
      },
      getCheckpoint: async () => kept.at(-1) ?? null,
      getPretrained: () => Promise.reject(new Error('Not asked.')),
      getPretrainedFile: () => Promise.reject(new Error('Not asked.')),
      getFeatures: async () => null,
      getSetting: async () => undefined,
      setSetting: async () => undefined,
      putFeatures: async () => undefined,
    }),
  });
  const { port1, port2 } = new MessageChannel();
  ports.push(port1, port2);
  api.connectStore(port1);
  return api;
}

async function rejection(promise: Promise<unknown>): Promise<AppError> {
  const error = await promise.then(
    () => null,
    (thrown: unknown) => thrown,
  );
  expect(error).toBeInstanceOf(AppError);
  return error as AppError;
}

const sameModel = (a: TrainOutcome, b: TrainOutcome): void => {
  expect(new Uint8Array(a.model)).toEqual(new Uint8Array(b.model));
  expect(a.loop.curve).toEqual(b.loop.curve);
};

describe('the train worker', () => {
  it('answers with a finished file, telling what it does', async () => {
    const events: TrainEvent[] = [];
    const { port, recycled } = served();
    const outcome = await trainer().run(REQUEST, port, (event) => events.push(event));
    expect(outcome.status).toBe('done');
    expect(outcome.best.metric).toBeGreaterThan(0.9);
    expect(outcome.signature.outputs.map(({ name }) => name)).toEqual(['probabilities', 'logits']);
    expect(outcome.weights).toBe(2 * 12 + 12 + 12 * 8 + 8 + 8 * 3 + 3);
    const started = events.findIndex(({ type }) => type === 'started');
    expect(events.slice(0, started)).toEqual([
      { type: 'state', state: 'preparing' },
      { type: 'phase', progress: { label: 'Starting the engine' } },
      { type: 'phase', progress: { label: 'Compiling the model' } },
      { type: 'phase', progress: { label: 'Compiling the checks' } },
    ]);
    expect(events[started]).toMatchObject({ stepsTotal: 60, precision: 'float32' });
    expect(recycled()).toBeGreaterThan(50);
    const session = await InferenceSession.create(new Uint8Array(outcome.model));
    const numeric = new Tensor('float32', Float32Array.of(0, 1.5), [1, 2]);
    const { probabilities } = await session.run({ numeric });
    expect(Number(probabilities?.data[0])).toBeGreaterThan(0.8);
  });

  it('resumes from the store to the very same file', async () => {
    const whole = await trainer().run(REQUEST, served().port, () => undefined);
    const kept: Kept[] = [];
    const api = trainer(kept);
    await api.run(REQUEST, served().port, () => undefined);
    const middle = kept.find(({ checkpoint }) => checkpoint.step === 23);
    expect(middle?.checkpoint).toMatchObject({ runId: 'r1', executor: 'reference' });
    const resumed = await trainer(middle ? [middle] : []).run(
      { ...REQUEST, resume: true },
      served().port,
      () => undefined,
    );
    sameModel(resumed, whole);
  });

  it('begins anew where there is nothing to resume', async () => {
    const whole = await trainer().run(REQUEST, served().port, () => undefined);
    const again = await trainer().run({ ...REQUEST, resume: true }, served().port, () => undefined);
    sameModel(again, whole);
  });

  it('refuses the checkpoint of another model', async () => {
    const kept: Kept[] = [];
    await trainer(kept).run(REQUEST, served().port, () => undefined);
    const config = { ...CONFIG, blueprint: { kind: 'linear' } } as const;
    const error = await rejection(
      trainer(kept).run({ ...REQUEST, config, resume: true }, served().port, () => undefined),
    );
    expect(error.code).toBe('training/checkpoint');
  });

  it('trains one run at a time, pauses, goes on and stops it', async () => {
    const api = trainer();
    const config = { ...CONFIG, training: { ...BLOB_TRAINING, epochs: 5000 } };
    const states: string[] = [];
    const running = api.run({ ...REQUEST, config }, served().port, (event) => {
      if (event.type !== 'state' || event.state === 'preparing') return;
      states.push(event.state);
      if (event.state === 'paused') api.resume('r1');
      else api.stop('r1');
    });
    api.pause('r1');
    const { port } = served();
    const busy = await rejection(api.run({ ...REQUEST, runId: 'r2' }, port, () => undefined));
    expect(busy.code).toBe('training/busy');
    expect(await running).toMatchObject({ status: 'stopped' });
    expect(states).toEqual(['paused', 'running']);
    await expect(
      api.run({ ...REQUEST, runId: 'r3' }, served().port, () => undefined),
    ).resolves.toBeDefined();
  });

  it('makes a baseline that answers the shares of the classes', async () => {
    const config = { ...CONFIG, blueprint: { kind: 'linear' } } as const;
    const request = { ...REQUEST, config, constant: true };
    const outcome = await trainer().run(request, served().port, () => undefined);
    expect(outcome).toMatchObject({
      stepsDone: 0,
      best: { metric: 1 / 3, correct: 15, total: 45 },
    });
    const session = await InferenceSession.create(new Uint8Array(outcome.model));
    const numeric = new Tensor('float32', Float32Array.of(3, -2, 0, NaN), [2, 2]);
    const { probabilities } = await session.run({ numeric });
    const shares = [0.5, 1 / 3, 1 / 6];
    [...shares, ...shares].forEach((share, i) => {
      expect(Number(probabilities?.data[i])).toBeCloseTo(share, 6);
    });
  });

  it('refuses before anything is compiled what the device has no room for', async () => {
    let states = 0;
    const executor: Executor = {
      ...createReferenceExecutor(),
      name: 'webgpu',
      createState: () => {
        states++;
        return Promise.reject(new Error('Not asked.'));
      },
    };
    const api = trainer([], { executor, limits: { pieceBytes: 2500 } });
    const request = { ...REQUEST, executor: 'webgpu' } as const;
    const error = await rejection(api.run(request, served().port, () => undefined));
    expect(error.code).toBe('training/memory');
    // Its weights with what is kept beside them are one piece, which no smaller batch makes smaller.
    expect(error.message).toMatch(
      /^This run needs \d kB in one piece.* at most 3 kB\. What would fit: the processor/,
    );
    expect(states).toBe(0);
    const { config, prepared } = request;
    const estimate = await api.estimate({
      ...{ config, prepared, executor: 'webgpu', precision: 'float32' },
      ...{ limits: { pieceBytes: 2500 }, others: ['wasm'] },
    });
    expect(estimate).toMatchObject({ fits: false, remedies: [{ kind: 'executor' }] });
    expect(error.data.estimate).toEqual(estimate);
  });

  it('passes on why the data worker failed', async () => {
    const { port } = served(({ part }) =>
      part === 'validation'
        ? { type: 'failure', error: { code: 'store/corrupt', message: 'Chunk 3.', data: { n: 3 } } }
        : (undefined as never),
    );
    const error = await rejection(trainer().run(REQUEST, port, () => undefined));
    expect(error).toMatchObject({ code: 'store/corrupt', message: 'Chunk 3.', data: { n: 3 } });
  });
});

describe('batches over a port', () => {
  it('do not wait for ever for a data worker that is gone', async () => {
    const { port } = served(() => null);
    const source = new PortBatchSource(port, true, 30);
    const error = await rejection(source.next({ part: 'train', epoch: 0, index: 0 }));
    expect(error.code).toBe('training/no-data');
    expect((await rejection(source.next({ part: 'train', epoch: 0, index: 1 }))).code).toBe(
      'training/no-data',
    );
    source.dispose();
  });
});
