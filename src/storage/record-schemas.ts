/**
 * The shape of every record that a project file may hold. The file is hostile until it fits: unknown keys are
 * errors, and each schema is checked by the compiler against the entity it stands for.
 */
import * as v from 'valibot';
import type {
  DatasetManifest,
  DatasetVersion,
  Evaluation,
  FittedRecipe,
  ModelVersion,
  Project,
  Divergence,
  Run,
  RunIncident,
  RunConfig,
  TrainingConfig,
} from '../protocol/entities';
import type { Bundle } from './bundle';
import { pretrainedModel } from './pretrained-schema';
import { chunk, count, figure, format, hash, id, measured, ports, text } from './record-parts';
import type { Schema } from './record-parts';
import type { EvaluationRow } from './schema';

/** A field that a schema forgets would make every file with it unreadable; so none may be, optional ones included. */
type Every<T> = Record<keyof T, v.GenericSchema>;

const task = v.picklist(['classification', 'regression']);
const executor = v.picklist(['webgpu', 'wasm', 'reference']);
const choice = v.picklist(['auto', 'webgpu', 'wasm', 'reference']);
/**
 * Column name -> switch. Checked as it is: a library's record type would drop columns that are called
 * `constructor` or `__proto__`, which are ordinary names here.
 */
const switches = v.custom<Record<string, boolean>>(
  (input) =>
    typeof input === 'object' &&
    input !== null &&
    !Array.isArray(input) &&
    Object.values(input).every((value) => typeof value === 'boolean'),
);

const source = v.strictObject({
  kind: v.picklist(['embedded', 'file', 'paste', 'project-file', 'folder', 'zip', 'camera']),
  name: text,
  licence: v.optional(text),
  origin: v.optional(text),
});

const pictureFit = v.picklist(['crop', 'letterbox']);

const manifest: Schema<DatasetManifest> = v.variant('type', [
  v.strictObject({
    format,
    type: v.literal('table'),
    name: text,
    rows: count,
    columns: v.array(
      v.strictObject({
        name: text,
        kind: v.picklist(['numeric', 'categorical', 'identifier', 'constant', 'text', 'date']),
        storage: v.picklist(['float64', 'codes']),
        vocabulary: v.array(text),
        vocabularyChunks: v.optional(v.array(chunk)),
        missing: count,
        distinct: count,
        min: v.optional(figure),
        max: v.optional(figure),
        chunks: v.array(chunk),
      }),
    ),
    source,
  }),
  v.strictObject({
    format,
    type: v.literal('images'),
    name: text,
    rows: count,
    channels: count,
    height: count,
    width: count,
    classes: v.array(text),
    pixels: v.array(chunk),
    labels: v.array(chunk),
    source,
    groups: v.optional(v.strictObject({ names: v.array(text), chunks: v.array(chunk) })),
    fit: v.optional(pictureFit),
    intake: v.optional(
      v.strictObject({
        leftOut: v.array(v.strictObject({ name: text, code: text, reason: text })),
        leftOutCount: count,
        duplicates: count,
        contradictions: count,
      }),
    ),
  }),
]);

export const datasetSchema: Schema<DatasetVersion> = v.strictObject({
  id: hash,
  createdAt: figure,
  manifest,
  rowsLeftOut: v.optional(v.literal(true)),
} satisfies Every<DatasetVersion>);

const preparation = {
  resize: v.optional(v.strictObject({ height: count, width: count })),
  channelsTo: v.optional(v.literal(3)),
  mean: v.optional(v.array(figure)),
  std: v.optional(v.array(figure)),
};
const imagePreparation = v.strictObject(preparation);

const recipe = v.strictObject({
  format,
  use: switches,
  imputeNumeric: v.picklist(['median', 'mean']),
  standardise: v.boolean(),
  image: v.optional(imagePreparation),
});

const shares = { train: figure, validation: figure, test: figure, seed: figure };
const split = v.variant('kind', [
  v.strictObject({ kind: v.literal('stratified'), ...shares }),
  v.strictObject({ kind: v.literal('grouped'), by: v.literal('group'), ...shares }),
  v.strictObject({
    kind: v.literal('fixed'),
    by: v.literal('group'),
    testGroups: v.array(text),
    ...shares,
  }),
]);

const pretrainedSource = v.variant('kind', [
  v.strictObject({ kind: v.literal('embedded'), id: v.literal('efficientnet-lite0') }),
  v.strictObject({ kind: v.literal('own'), sha256: hash }),
]);

const blueprint = v.variant('kind', [
  v.strictObject({ kind: v.literal('linear') }),
  v.strictObject({
    kind: v.literal('mlp'),
    hidden: v.array(count),
    activation: v.picklist(['relu', 'tanh', 'sigmoid', 'gelu']),
    dropout: figure,
  }),
  v.strictObject({
    kind: v.literal('cnn'),
    channels: v.array(count),
    batchNorm: v.boolean(),
    pool: v.picklist(['max', 'average']),
    globalPool: v.boolean(),
    dense: count,
    dropout: figure,
  }),
  v.strictObject({
    kind: v.literal('pretrained'),
    source: pretrainedSource,
    cut: v.nullable(text),
    head: v.strictObject({ hidden: count, dropout: figure }),
    strategy: v.variant('kind', [
      v.strictObject({ kind: v.literal('head') }),
      v.strictObject({ kind: v.literal('last-blocks'), blocks: count }),
      v.strictObject({ kind: v.literal('full'), depthDecay: figure }),
      v.strictObject({
        kind: v.literal('gradual'),
        epochsPerBlock: count,
        depthDecay: figure,
      }),
      v.strictObject({
        kind: v.literal('lora'),
        rank: count,
        alpha: figure,
        dropout: figure,
        targets: text,
      }),
    ]),
    batchNorm: v.picklist(['frozen', 'train']),
    picture: v.nullable(imagePreparation),
  }),
]);

const adam = { beta1: figure, beta2: figure, epsilon: figure };
const optimiser = v.variant('kind', [
  v.strictObject({ kind: v.literal('sgd'), momentum: figure }),
  v.strictObject({ kind: v.literal('adam'), ...adam }),
  v.strictObject({ kind: v.literal('adamw'), ...adam, weightDecay: figure }),
  v.strictObject({ kind: v.literal('lion'), beta1: figure, beta2: figure, weightDecay: figure }),
]);

const precision = v.picklist(['float32', 'float16']);

const training = v.strictObject({
  epochs: count,
  batchSize: count,
  learningRate: figure,
  optimiser,
  schedule: v.strictObject({ kind: v.picklist(['constant', 'cosine']), warmup: figure }),
  clipNorm: figure,
  loss: v.picklist(['softmax-ce', 'bce', 'mse', 'huber']),
  classWeights: v.picklist(['none', 'balanced']),
  patience: count,
  augment: v.nullable(
    v.strictObject({
      shift: figure,
      rotate: figure,
      zoom: figure,
      flip: v.optional(v.boolean()),
      brightness: v.optional(figure),
      contrast: v.optional(figure),
    }),
  ),
  maxSeconds: v.nullable(figure),
  accumulate: v.optional(count),
  memory: v.optional(v.union([v.picklist(['auto', 'full']), figure])),
  precision: v.optional(precision),
  lossScale: v.optional(figure),
  plan: v.optional(v.picklist(['fixed', 'tuned'])),
} satisfies Every<TrainingConfig>);

const runConfig: Schema<RunConfig> = v.strictObject({
  format,
  datasetId: hash,
  target: text,
  task,
  recipe,
  split,
  blueprint,
  training,
  seed: figure,
  executor: choice,
} satisfies Every<RunConfig>);

const happened = { at: figure, step: count };
const incident: Schema<RunIncident> = v.variant('kind', [
  v.strictObject({
    ...happened,
    kind: v.picklist([
      'device-lost',
      'worker-died',
      'disk-full',
      'room-again',
      'checkpoint-missed',
    ]),
    reason: text,
  }),
  v.strictObject({
    ...happened,
    kind: v.literal('resumed'),
    executor,
    planId: text,
    before: v.strictObject({ executor, planId: text }),
    exact: v.boolean(),
  }),
  v.strictObject({ ...happened, kind: v.literal('moved'), executor, reason: text }),
  v.strictObject({ ...happened, kind: v.literal('divided'), rows: count, reason: text }),
]);

const divergence: Schema<Divergence> = v.strictObject({
  step: count,
  what: v.picklist(['loss', 'weights', 'validation']),
  learningRate: figure,
  gradNorms: v.array(measured),
  clipNorm: figure,
  precision,
  unscaled: v.array(v.strictObject({ column: text, largest: figure })),
  keptEpoch: v.nullable(count),
});

const run: Schema<Run> = v.strictObject({
  id,
  projectId: id,
  number: count,
  name: text,
  role: v.picklist(['model', 'baseline']),
  config: runConfig,
  status: v.picklist([
    'preparing',
    'running',
    'paused',
    'interrupted',
    'done',
    'stopped',
    'failed',
  ]),
  createdAt: figure,
  finishedAt: v.nullable(figure),
  device: v.nullable(v.strictObject({ executor, reason: text, planId: text, label: text })),
  graphHash: v.nullable(text),
  codeVersion: text,
  curve: v.array(
    v.strictObject({
      step: count,
      epoch: figure,
      series: v.picklist(['training', 'validation']),
      loss: measured,
      metric: v.optional(measured),
      learningRate: v.optional(measured),
      gradNorm: v.optional(measured),
    }),
  ),
  best: v.nullable(
    v.strictObject({
      epoch: figure,
      loss: measured,
      metric: measured,
      correct: v.optional(count),
      total: v.optional(count),
    }),
  ),
  seconds: figure,
  examplesPerSecond: figure,
  stepsDone: count,
  stepsTotal: count,
  trainable: v.optional(count),
  precision: v.optional(precision),
  microBatch: v.optional(v.strictObject({ rows: count, batchNorm: v.boolean() })),
  skipped: v.optional(
    v.strictObject({
      count,
      steps: v.array(count),
      lossScale: v.nullable(figure),
      inRow: v.optional(count),
    }),
  ),
  incidents: v.optional(v.array(incident)),
  divergence: v.optional(divergence),
  modelVersionId: v.nullable(id),
  error: v.nullable(v.strictObject({ code: text, message: text })),
} satisfies Every<Run>);

const fittedRecipe: Schema<FittedRecipe> = v.strictObject({
  format,
  input: v.variant('type', [
    v.strictObject({
      type: v.literal('table'),
      numeric: v.array(
        v.strictObject({
          column: text,
          impute: figure,
          mean: figure,
          scale: figure,
          min: figure,
          max: figure,
        }),
      ),
      categorical: v.array(
        v.strictObject({ column: text, vocabulary: v.array(text), typical: text }),
      ),
    }),
    v.strictObject({
      type: v.literal('images'),
      channels: count,
      height: count,
      width: count,
      fit: v.optional(pictureFit),
      ...preparation,
    }),
  ]),
  featureDims: v.array(count),
  target: v.variant('task', [
    v.strictObject({ task: v.literal('classification'), column: text, classes: v.array(text) }),
    v.strictObject({ task: v.literal('regression'), column: text, mean: figure, scale: figure }),
  ]),
});

const model: Schema<ModelVersion> = v.strictObject({
  id: hash,
  format,
  projectId: id,
  number: count,
  name: text,
  stage: v.picklist(['draft', 'candidate', 'champion', 'retired']),
  createdAt: figure,
  kind: v.picklist(['float32', 'int8-dynamic', 'int8-static', 'imported']),
  runId: v.nullable(id),
  parentId: v.nullable(hash),
  datasetId: v.nullable(hash),
  graphHash: text,
  file: chunk,
  signature: v.strictObject({ task, classes: v.array(text), inputs: ports, outputs: ports }),
  recipe: v.nullable(fittedRecipe),
  weights: count,
  trashedAt: v.nullable(figure),
  base: v.optional(v.strictObject({ source: pretrainedSource, name: text, sha256: hash })),
  adapter: v.optional(chunk),
} satisfies Every<ModelVersion>);

const estimate = v.strictObject({ value: measured, low: measured, high: measured });
const points = v.array(v.strictObject({ threshold: measured, x: measured, y: measured }));

const report: Schema<Evaluation['report']> = v.variant('task', [
  v.strictObject({
    task: v.literal('classification'),
    classes: v.array(text),
    accuracy: estimate,
    correct: count,
    total: count,
    logLoss: measured,
    macro: v.strictObject({ precision: measured, recall: measured, f1: estimate }),
    perClass: v.array(
      v.strictObject({
        label: text,
        support: count,
        precision: estimate,
        recall: estimate,
        f1: estimate,
      }),
    ),
    confusion: v.array(v.array(count)),
    roc: v.array(v.strictObject({ label: text, auc: measured, points })),
    pr: v.array(v.strictObject({ label: text, averagePrecision: measured, points })),
    reliability: v.strictObject({
      ece: measured,
      bins: v.array(
        v.strictObject({
          low: measured,
          high: measured,
          count,
          confidence: measured,
          accuracy: measured,
        }),
      ),
    }),
  }),
  v.strictObject({
    task: v.literal('regression'),
    mae: estimate,
    rmse: estimate,
    r2: estimate,
    total: count,
    residuals: v.strictObject({
      histogram: v.array(v.strictObject({ low: measured, high: measured, count })),
    }),
  }),
]);

const evaluation: Schema<EvaluationRow> = v.strictObject({
  id: hash,
  format,
  projectId: id,
  modelVersionId: hash,
  datasetId: hash,
  part: v.picklist(['train', 'validation', 'test', 'all']),
  createdAt: figure,
  rows: count,
  report,
  latency: v.strictObject({
    medianMs: measured,
    p95Ms: measured,
    rowsPerSecond: measured,
    provider: text,
  }),
  bytes: count,
  predictions: v.nullable(chunk),
} satisfies Every<EvaluationRow>);

const project: Schema<Project> = v.strictObject({
  id,
  name: text,
  createdAt: figure,
  updatedAt: figure,
  trashedAt: v.nullable(figure),
  temporary: v.boolean(),
  starter: v.nullable(v.picklist(['penguins', 'digits', 'emoji'])),
  datasetId: v.nullable(hash),
  target: v.nullable(text),
  task: v.nullable(task),
  gates: v.array(
    v.strictObject({
      kind: v.picklist(['metric', 'size', 'latency']),
      metric: v.optional(v.picklist(['accuracy', 'f1_macro', 'mae', 'rmse', 'r2'])),
      threshold: figure,
    }),
  ),
  recipe,
  split,
  blueprint: v.nullable(blueprint),
  training: v.nullable(training),
  seed: figure,
  executor: choice,
  testOpened: count,
  revision: count,
} satisfies Every<Project>);

/** A project's own records, without what projects share. */
export const ownRecords = {
  project,
  runs: v.array(run),
  models: v.array(model),
  evaluations: v.array(evaluation),
};

export const bundleSchema: Schema<Bundle> = v.strictObject({
  ...ownRecords,
  datasets: v.array(datasetSchema),
  // Files of before these were carried have none.
  pretrained: v.optional(v.array(pretrainedModel), []),
});
