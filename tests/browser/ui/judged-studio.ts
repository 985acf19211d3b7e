/** A studio of one small question with two baselines and a model, answered from memory: for the screens that judge. */
import { vi } from 'vitest';
import { classificationReport } from '../../../src/evaluation/classification';
import type {
  DatasetVersion,
  Evaluation,
  ModelVersion,
  PredictionRow,
  Project,
  Run,
  RunConfig,
} from '../../../src/protocol/entities';
import { OpenProject } from '../../../src/state/project.svelte';
import type { Studio } from '../../../src/state/studio';
import { runConfig } from '../../support/run-config';

export const CLASSES = ['cat', 'dog'];
const CHUNK = { sha256: 'x', storageKey: 'x', bytes: 2000 };
export const CONFIG: RunConfig = runConfig({
  datasetId: 'd1',
  target: 'animal',
  task: 'classification',
});

export function aRun(change: Partial<Run> & Pick<Run, 'id' | 'number'>): Run {
  return {
    projectId: 'p1',
    name: `Run ${change.number}`,
    role: 'model',
    config: CONFIG,
    status: 'done',
    createdAt: change.number,
    finishedAt: change.number,
    device: null,
    graphHash: null,
    codeVersion: '1',
    curve: [],
    best: { epoch: 2, loss: 0.2, metric: 0.75, correct: 15, total: 20 },
    seconds: 1,
    examplesPerSecond: 100,
    stepsDone: 10,
    stepsTotal: 10,
    modelVersionId: null,
    error: null,
    ...change,
  };
}

function aModel(run: Run): ModelVersion {
  return {
    id: `m-${run.id}`,
    format: 1,
    projectId: 'p1',
    number: run.number,
    name: run.name,
    stage: 'draft',
    createdAt: run.number,
    kind: 'float32',
    runId: run.id,
    parentId: null,
    datasetId: 'd1',
    graphHash: 'g',
    file: CHUNK,
    signature: { task: 'classification', classes: CLASSES, inputs: [], outputs: [] },
    recipe: {
      format: 1,
      input: { type: 'table', numeric: [], categorical: [] },
      featureDims: [1],
      target: { task: 'classification', column: 'animal', classes: CLASSES },
    },
    weights: 10,
    trashedAt: null,
  };
}

/** 20 rows; of the dogs one with score 0.3 and one with 0.45 are missed at one half. */
export const PREDICTIONS: readonly PredictionRow[] = Array.from({ length: 20 }, (_, row) => {
  const actual = row % 2;
  const dog = actual === 0 ? 0.1 + row * 0.01 : row === 1 ? 0.45 : row === 3 ? 0.3 : 0.9;
  return { row, actual, predicted: dog >= 0.5 ? 1 : 0, probabilities: [1 - dog, dog] };
});

const PROJECT: Project = {
  id: 'p1',
  name: 'Animals',
  createdAt: 0,
  updatedAt: 0,
  trashedAt: null,
  temporary: false,
  starter: null,
  datasetId: 'd1',
  target: 'animal',
  task: 'classification',
  gates: [
    { kind: 'metric', metric: 'accuracy', threshold: 0.2 },
    { kind: 'metric', metric: 'accuracy', threshold: 0.9 },
    { kind: 'size', threshold: 1000 },
  ],
  recipe: CONFIG.recipe,
  split: CONFIG.split,
  blueprint: CONFIG.blueprint,
  training: CONFIG.training,
  seed: 1,
  executor: 'auto',
  testOpened: 0,
  revision: 1,
};

const DATASET: DatasetVersion = {
  id: 'd1',
  createdAt: 0,
  manifest: {
    format: 1,
    type: 'table',
    name: 'Animals',
    rows: 100,
    columns: [],
    source: { kind: 'paste', name: 'Animals' },
  },
};

export const RUNS: readonly Run[] = [
  aRun({ id: 'b1', number: 1, name: 'Always the commonest class', role: 'baseline', stepsDone: 0 }),
  aRun({ id: 'b2', number: 2, name: 'Linear model', role: 'baseline' }),
  aRun({ id: 'r1', number: 3, name: 'Run 1' }),
];

export async function judged(runs: readonly Run[] = RUNS) {
  let stored = PROJECT;
  const evaluations: Evaluation[] = [];
  const store = {
    openTest: vi.fn(async () => {
      stored = { ...stored, testOpened: stored.testOpened + 1, revision: stored.revision + 1 };
      return Promise.resolve(stored);
    }),
    getDataset: vi.fn(async () => Promise.resolve(DATASET)),
    listRuns: vi.fn(async () => Promise.resolve(runs)),
    listModels: vi.fn(async () => Promise.resolve(runs.map(aModel))),
    listEvaluations: vi.fn(async () => Promise.resolve([...evaluations])),
    getPredictions: vi.fn(async () => Promise.resolve(PREDICTIONS)),
    getSetting: vi.fn(async () => Promise.resolve(undefined)),
    setSetting: vi.fn(async () => Promise.resolve()),
    getCheckpoint: vi.fn(async (): Promise<unknown> => Promise.resolve(null)),
  };
  const data = {
    inspect: vi.fn(async () => Promise.resolve({ parts: { train: 60, validation: 20, test: 20 } })),
    readPart: vi.fn(async (..._: unknown[]) => Promise.resolve({ rows: new Uint32Array(20) })),
    rows: vi.fn(async (_: string, query: { rows: readonly number[] }) =>
      Promise.resolve({
        total: query.rows.length,
        columns: ['animal', 'weight'],
        rows: query.rows.map((row) => ({ row, cells: ['dog', `${row} kg`] })),
      }),
    ),
  };
  const evaluate = vi.fn(async (_: string, modelId: string, part: 'validation' | 'test') => {
    evaluations.push({
      id: `${modelId}-${part}`,
      format: 1,
      projectId: 'p1',
      modelVersionId: modelId,
      datasetId: 'd1',
      part,
      createdAt: evaluations.length,
      rows: 20,
      report: classificationReport(PREDICTIONS, CLASSES, 1),
      latency: { medianMs: 0.5, p95Ms: 1, rowsPerSecond: 1000, provider: 'wasm' },
      bytes: 2000,
    });
    return Promise.resolve();
  });
  // Only these are asked here.
  const studio: Studio = Object.assign(Object.create(null), {
    store,
    data,
    evaluate,
    cancel: vi.fn(async () => Promise.resolve()),
    runConfig: () => CONFIG,
    workers: { onTrouble: () => undefined },
  });
  const project = new OpenProject(studio, PROJECT);
  await project.load();
  return { project, studio, store, data, evaluate };
}
