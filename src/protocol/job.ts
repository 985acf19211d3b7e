/**
 * JOB.json: a whole training as a file, for `npm run job` and for the screens to export and open. Everything but
 * the data has a default, which services/defaults.ts chooses by the data; what the file says is taken as it is.
 * docs/job.schema.json describes the same for editors; a test keeps the two alike.
 */
import * as v from 'valibot';
import { AppError } from '../core/errors';
import { shownValue } from '../core/shown';

const share = v.pipe(v.number(), v.minValue(0), v.maxValue(1));
const positive = v.pipe(v.number(), v.gtValue(0));
const atLeastZero = v.pipe(v.number(), v.minValue(0));
const WHOLE = 'it must be a whole number';
const count = v.pipe(v.number(), v.integer(WHOLE), v.minValue(1));
const countOrZero = v.pipe(v.number(), v.integer(WHOLE), v.minValue(0));
const seed = v.pipe(v.number(), v.safeInteger(), v.minValue(0));
const text = v.pipe(
  v.string(),
  v.check((value) => value.trim() !== '', 'the text must not be empty'),
);
const below1 = v.pipe(v.number(), v.minValue(0), v.ltValue(1));

const DataSchema = v.pipe(
  v.strictObject({
    file: v.optional(text),
    folder: v.optional(text),
    zip: v.optional(text),
    embedded: v.optional(v.picklist(['penguins', 'digits', 'emoji'])),
    /** Of a folder or zip: side of the pictures as they are kept. */
    size: v.optional(count),
  }),
  v.check(
    ({ file, folder, zip, embedded }) =>
      [file, folder, zip, embedded].filter((value) => value !== undefined).length === 1,
    'there must be exactly one of "file", "folder", "zip" and "embedded"',
  ),
);

const GateSchema = v.variant('kind', [
  v.strictObject({
    kind: v.literal('metric'),
    metric: v.picklist(['accuracy', 'f1_macro', 'mae', 'rmse', 'r2']),
    threshold: v.number(),
  }),
  v.strictObject({ kind: v.literal('size'), threshold: positive }),
  v.strictObject({ kind: v.literal('latency'), threshold: positive }),
]);

const GoalSchema = v.strictObject({
  target: v.optional(text),
  task: v.optional(v.picklist(['classification', 'regression'])),
  gates: v.optional(v.array(GateSchema)),
});

const RecipeSchema = v.strictObject({
  use: v.optional(v.record(v.string(), v.boolean())),
  imputeNumeric: v.optional(v.picklist(['median', 'mean'])),
  standardise: v.optional(v.boolean()),
});

const SplitSchema = v.pipe(
  v.strictObject({
    train: v.pipe(v.number(), v.gtValue(0), v.ltValue(1)),
    validation: v.pipe(v.number(), v.gtValue(0), v.ltValue(1)),
    test: v.pipe(v.number(), v.gtValue(0), v.ltValue(1)),
    seed: v.optional(seed),
    /** Whole groups stay together. */
    grouped: v.optional(v.boolean()),
    /** These groups are the sealed test part. */
    testGroups: v.optional(v.pipe(v.array(text), v.minLength(1))),
  }),
  v.check(
    ({ train, validation, test }) => Math.abs(train + validation + test - 1) < 1e-6,
    'the three shares must add up to 1',
  ),
);

const decay = v.pipe(v.number(), v.gtValue(0), v.maxValue(1));

const StrategySchema = v.variant('kind', [
  v.strictObject({ kind: v.literal('head') }),
  v.strictObject({ kind: v.literal('last-blocks'), blocks: v.optional(count) }),
  v.strictObject({ kind: v.literal('full'), depthDecay: v.optional(decay) }),
  v.strictObject({
    kind: v.literal('gradual'),
    epochsPerBlock: v.optional(count),
    depthDecay: v.optional(decay),
  }),
  v.strictObject({
    kind: v.literal('lora'),
    rank: v.optional(count),
    alpha: v.optional(positive),
    dropout: v.optional(below1),
    targets: v.optional(text),
  }),
]);

export const BlueprintSchema = v.variant('kind', [
  v.strictObject({ kind: v.literal('linear') }),
  v.strictObject({
    kind: v.literal('mlp'),
    hidden: v.optional(v.pipe(v.array(count), v.minLength(1), v.maxLength(16))),
    activation: v.optional(v.picklist(['relu', 'tanh', 'sigmoid', 'gelu'])),
    dropout: v.optional(below1),
  }),
  v.strictObject({
    kind: v.literal('cnn'),
    channels: v.optional(v.pipe(v.array(count), v.minLength(1), v.maxLength(8))),
    batchNorm: v.optional(v.boolean()),
    pool: v.optional(v.picklist(['max', 'average'])),
    globalPool: v.optional(v.boolean()),
    dense: v.optional(countOrZero),
    dropout: v.optional(below1),
  }),
  v.strictObject({
    kind: v.literal('pretrained'),
    source: v.union([
      v.strictObject({ embedded: v.picklist(['efficientnet-lite0']) }),
      v.strictObject({ file: text }),
    ]),
    cut: v.optional(v.nullable(text)),
    head: v.optional(
      v.strictObject({ hidden: v.optional(countOrZero), dropout: v.optional(below1) }),
    ),
    strategy: v.optional(StrategySchema),
    batchNorm: v.optional(v.picklist(['frozen', 'train'])),
    /** Side of the pictures that the body is given. */
    size: v.optional(count),
    /** (level - mean) / std by channel, of levels from 0 to 1. */
    pixels: v.optional(v.strictObject({ mean: v.array(v.number()), std: v.array(positive) })),
  }),
]);

const OptimiserSchema = v.variant('kind', [
  v.strictObject({ kind: v.literal('sgd'), momentum: v.optional(below1) }),
  v.strictObject({
    kind: v.literal('adam'),
    beta1: v.optional(below1),
    beta2: v.optional(below1),
    epsilon: v.optional(positive),
  }),
  v.strictObject({
    kind: v.literal('adamw'),
    beta1: v.optional(below1),
    beta2: v.optional(below1),
    epsilon: v.optional(positive),
    weightDecay: v.optional(atLeastZero),
  }),
  v.strictObject({
    kind: v.literal('lion'),
    beta1: v.optional(below1),
    beta2: v.optional(below1),
    weightDecay: v.optional(atLeastZero),
  }),
]);

const TrainingSchema = v.strictObject({
  epochs: v.optional(count),
  batchSize: v.optional(count),
  learningRate: v.optional(positive),
  optimiser: v.optional(OptimiserSchema),
  schedule: v.optional(
    v.strictObject({
      kind: v.picklist(['constant', 'cosine']),
      warmup: v.optional(share),
    }),
  ),
  clipNorm: v.optional(atLeastZero),
  loss: v.optional(v.picklist(['softmax-ce', 'bce', 'mse', 'huber'])),
  classWeights: v.optional(v.picklist(['none', 'balanced'])),
  patience: v.optional(countOrZero),
  augment: v.optional(
    v.nullable(
      v.strictObject({
        shift: atLeastZero,
        rotate: atLeastZero,
        zoom: below1,
        flip: v.optional(v.boolean()),
        brightness: v.optional(below1),
        contrast: v.optional(below1),
      }),
    ),
  ),
  maxSeconds: v.optional(v.nullable(positive)),
  accumulate: v.optional(count),
  memory: v.optional(v.union([v.picklist(['auto', 'full']), count])),
  precision: v.optional(v.picklist(['float32', 'float16'])),
  lossScale: v.optional(
    v.pipe(
      v.number(),
      v.minValue(1),
      v.maxValue(2 ** 24),
      v.check((value) => Number.isInteger(Math.log2(value)), 'it must be a power of 2'),
    ),
  ),
  plan: v.optional(v.picklist(['fixed', 'tuned'])),
});

export const JobSchema = v.strictObject({
  $schema: v.optional(v.string()),
  format: v.literal(1),
  name: v.optional(text),
  data: DataSchema,
  goal: v.optional(GoalSchema),
  recipe: v.optional(RecipeSchema),
  split: v.optional(SplitSchema),
  blueprint: v.optional(BlueprintSchema),
  training: v.optional(TrainingSchema),
  compression: v.optional(v.picklist(['none', 'int8-dynamic', 'int8-static'])),
  seed: v.optional(seed),
  executor: v.optional(v.picklist(['auto', 'webgpu', 'wasm', 'reference'])),
});

export type Job = v.InferOutput<typeof JobSchema>;
export type JobBlueprint = NonNullable<Job['blueprint']>;
export type JobPretrained = Extract<JobBlueprint, { kind: 'pretrained' }>;
export type JobTraining = NonNullable<Job['training']>;

/** Wrong keys that one refusal names; all of them are in its data. */
const SHOWN_PROBLEMS = 10;

/** The job that `value` (parsed JSON) describes; `job/invalid` names every wrong key. */
export function parseJob(value: unknown): Job {
  const result = v.safeParse(JobSchema, value);
  if (result.success) return result.output;
  const problems = result.issues.flatMap((issue) => describe(issue));
  const more = problems.length - SHOWN_PROBLEMS;
  const shown = [...problems.slice(0, SHOWN_PROBLEMS), ...(more > 0 ? [`And ${more} more.`] : [])];
  throw new AppError(
    'job/invalid',
    `The job file is not valid. ${shown.join(' ')} docs/job.schema.json describes every key.`,
    { problems },
  );
}

/** Parses the text of a job file; a syntax error is `job/invalid` too. */
export function parseJobText(source: string): Job {
  let value: unknown;
  try {
    value = JSON.parse(source);
  } catch (error) {
    const detail = shownValue(error instanceof Error ? error.message : error);
    throw new AppError('job/invalid', `The job file is not JSON: ${detail}.`, {}, error);
  }
  return parseJob(value);
}

function describe(issue: v.BaseIssue<unknown>): string[] {
  const path = shownValue(v.getDotPath(issue) ?? '');
  const where = path === '' ? 'the file' : `"${path}"`;
  if (issue.type === 'strict_object' && issue.expected === 'never') {
    return [`${where} is not a known key.`];
  }
  if (issue.type === 'strict_object' && issue.received === 'undefined') {
    return [`${where} is missing.`];
  }
  if (issue.kind === 'validation' && issue.expected === null)
    return [`In ${where}, ${issue.message}.`];
  const expected = (issue.expected ?? 'something else').replaceAll('"', "'");
  return [`${where} must be ${expected}, not ${shownValue(issue.received).replaceAll('"', "'")}.`];
}
