/** Records as small as they come, and stores that clean up after themselves. */
import { afterEach } from 'vitest';
import type { StoreApi } from '../../../src/protocol/api';
import type {
  ChunkRef,
  DatasetManifest,
  Evaluation,
  Id,
  PredictionRow,
  Run,
  TableManifest,
} from '../../../src/protocol/entities';
import type { Store, StoreOptions } from '../../../src/storage/store';
import { createStoreApi } from '../../../src/storage/store';
import { LEAST } from '../../../src/storage/vault/passphrase';

export const DAY = 24 * 60 * 60 * 1000;

/** Returns functions that make stores on fresh databases; everything is closed and deleted after each test. */
export function freshStores() {
  const stores: Store[] = [];
  const names = new Set<string>();

  afterEach(async () => {
    for (const store of stores.splice(0)) store.close();
    for (const name of names) await deleteStore(name);
    names.clear();
  });

  return {
    async opened(options: StoreOptions = {}): Promise<Store> {
      const name = options.name ?? freshName();
      const store = createStoreApi({ passphraseCost: LEAST, ...options, name });
      stores.push(store);
      names.add(name);
      await store.open();
      return store;
    },
    /** Deleted after the test, whoever creates it. */
    name(): string {
      const name = freshName();
      names.add(name);
      return name;
    },
  };
}

export function freshName(): string {
  return `test-${crypto.randomUUID()}`;
}

export async function deleteStore(name: string): Promise<void> {
  await finished(indexedDB.deleteDatabase(`${name}-core`));
  await finished(indexedDB.deleteDatabase(`${name}-cache`));
}

export function finished<T>(request: IDBRequest<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error ?? new Error('The request failed.'));
  });
}

/** IndexedDB itself, past the store: to damage things and to look at what was written. */
export async function rawDatabase(name: string, version?: number): Promise<IDBDatabase> {
  return finished(indexedDB.open(name, version));
}

export function bytesOf(seed: number, length = 64): ArrayBuffer {
  return Uint8Array.from({ length }, (_, index) => (seed * 31 + index * 7) % 251).buffer;
}

/** Matchers see nothing inside an ArrayBuffer; this they can compare. */
export function numbersIn(bytes: ArrayBuffer | null | undefined): readonly number[] | null {
  return bytes ? [...new Uint8Array(bytes)] : null;
}

export function tableManifest(chunk: ChunkRef, name = 'measures.csv'): TableManifest {
  return {
    format: 1,
    type: 'table',
    name,
    rows: 8,
    columns: [
      {
        name: 'constructor',
        kind: 'numeric',
        storage: 'float64',
        vocabulary: [],
        missing: 0,
        distinct: 8,
        min: -1.5,
        max: 4,
        chunks: [chunk],
      },
      {
        name: 'species',
        kind: 'categorical',
        storage: 'codes',
        vocabulary: ['Adelie', 'Gentoo'],
        missing: 0,
        distinct: 2,
        chunks: [chunk],
      },
      {
        name: 'remark',
        kind: 'text',
        storage: 'codes',
        vocabulary: ['a private remark'],
        missing: 7,
        distinct: 1,
        chunks: [chunk],
      },
    ],
    source: { kind: 'file', name },
  };
}

export async function putTable(store: Store, seed: number): Promise<Id> {
  const chunk = await store.putChunk(bytesOf(seed));
  const manifest: DatasetManifest = tableManifest(chunk, `measures-${seed}.csv`);
  return (await store.putDataset(manifest)).id;
}

const split = {
  kind: 'stratified',
  train: 0.7,
  validation: 0.15,
  test: 0.15,
  seed: 1,
} as const;
const recipe = {
  format: 1,
  use: { constructor: true },
  imputeNumeric: 'median',
  standardise: true,
} as const;
const training = {
  epochs: 5,
  batchSize: 32,
  learningRate: 0.01,
  optimiser: { kind: 'sgd', momentum: 0.9 },
  schedule: { kind: 'constant', warmup: 0 },
  clipNorm: 0,
  loss: 'softmax-ce',
  classWeights: 'none',
  patience: 0,
  augment: null,
  maxSeconds: null,
} as const;

export function projectDraft(
  datasetId: Id | null = null,
): Parameters<StoreApi['createProject']>[0] {
  return {
    name: 'Which penguin?',
    temporary: false,
    starter: null,
    datasetId,
    target: 'species',
    task: 'classification',
    gates: [{ kind: 'metric', metric: 'accuracy', threshold: 0.9 }],
    recipe,
    split,
    blueprint: { kind: 'linear' },
    training,
    seed: 7,
    executor: 'auto',
  };
}

export function runDraft(
  projectId: Id,
  datasetId: Id,
  status: Run['status'] = 'running',
): Parameters<StoreApi['createRun']>[0] {
  return {
    projectId,
    name: 'Linear',
    role: 'model',
    config: {
      format: 1,
      datasetId,
      target: 'species',
      task: 'classification',
      recipe,
      split,
      blueprint: { kind: 'linear' },
      training,
      seed: 7,
      executor: 'auto',
    },
    status,
    createdAt: 1_000,
    finishedAt: null,
    device: { executor: 'wasm', reason: 'No GPU.', planId: 'plan', label: 'Processor' },
    graphHash: null,
    codeVersion: 'test',
    curve: [
      { step: 1, epoch: 0, series: 'training', loss: 1.5 },
      { step: 2, epoch: 0, series: 'training', loss: NaN },
    ],
    best: null,
    seconds: 0,
    examplesPerSecond: 0,
    stepsDone: 0,
    stepsTotal: 10,
    modelVersionId: null,
    error: null,
  };
}

export function modelDraft(
  projectId: Id,
  runId: Id | null,
  datasetId: Id | null,
): Parameters<StoreApi['putModel']>[0] {
  return {
    projectId,
    name: 'Linear',
    stage: 'draft',
    kind: 'float32',
    runId,
    parentId: null,
    datasetId,
    graphHash: 'graph',
    signature: { task: 'classification', classes: ['Adelie', 'Gentoo'], inputs: [], outputs: [] },
    recipe: null,
    weights: 12,
  };
}

export const PREDICTIONS: readonly PredictionRow[] = [
  { row: 3, actual: 0, predicted: 1, probabilities: [0.1, 0.9] },
  { row: 5, actual: 1, predicted: 1, probabilities: [1 / 3, 2 / 3] },
];

export function evaluationDraft(
  projectId: Id,
  modelVersionId: Id,
  datasetId: Id,
): Omit<Evaluation, 'id' | 'createdAt' | 'format'> {
  const estimate = { value: 0.5, low: 0.1, high: 0.9 };
  return {
    projectId,
    modelVersionId,
    datasetId,
    part: 'test',
    rows: 2,
    report: {
      task: 'regression',
      mae: estimate,
      rmse: estimate,
      r2: estimate,
      total: 2,
      residuals: { histogram: [{ low: 0, high: 1, count: 2 }] },
    },
    latency: { medianMs: 1, p95Ms: 2, rowsPerSecond: 1000, provider: 'wasm' },
    bytes: 100,
  };
}

export function checkpointDraft(runId: Id, step: number): Parameters<StoreApi['putCheckpoint']>[0] {
  return {
    runId,
    step,
    epoch: 0,
    planId: 'plan',
    executor: 'wasm',
    tensors: [{ name: 'w', dims: [4, 4] }],
    loop: {
      curve: [],
      bestLoss: null,
      bestEpoch: 0,
      bestMetric: null,
      epochsWithoutGain: 0,
      seconds: 1,
      epochLossSum: 0,
      epochLossWeight: 0,
    },
  };
}

export interface Filled {
  readonly projectId: Id;
  readonly datasetId: Id;
  readonly runId: Id;
  readonly modelId: Id;
  readonly evaluationId: Id;
}

/** A project with one of everything, its run done. */
export async function fill(store: Store, seed = 1): Promise<Filled> {
  const datasetId = await putTable(store, seed);
  const project = await store.createProject(projectDraft(datasetId));
  const run = await store.createRun(runDraft(project.id, datasetId));
  const model = await store.putModel(
    modelDraft(project.id, run.id, datasetId),
    bytesOf(seed + 100, 96),
  );
  await store.updateRun(run.id, { status: 'done', modelVersionId: model.id });
  const evaluation = await store.putEvaluation(
    evaluationDraft(project.id, model.id, datasetId),
    PREDICTIONS,
  );
  return {
    projectId: project.id,
    datasetId,
    runId: run.id,
    modelId: model.id,
    evaluationId: evaluation.id,
  };
}
