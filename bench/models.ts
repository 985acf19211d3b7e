/**
 * The models of tests/budgets/models.json as forward graphs, training graphs and feeds: what the budgets count, what
 * the bench times, what the long tests train. MLP and CNN are the studio's own blueprints.
 */
import { buildBlueprint } from '../src/blueprints/build';
import { PhiloxStream, normals } from '../src/core/philox';
import type { Feed } from '../src/engine/executor';
import type { Graph } from '../src/onnx/graph';
import type { OptimiserConfig } from '../src/protocol/entities';
import { buildTrainingGraph } from '../src/training/training-graph';
import type { TrainingGraph, TrainingOptions } from '../src/training/training-graph';
import models from '../tests/budgets/models.json';
import { buildGpt } from './gpt';
import type { GptModel } from './gpt';

interface Trained {
  readonly title: string;
  readonly batch: number;
  readonly optimiser: OptimiserConfig;
  readonly learningRate: number;
  /** 0 is no clipping. */
  readonly clipNorm: number;
}

export interface MlpModel extends Trained {
  readonly kind: 'mlp';
  readonly features: number;
  readonly hidden: readonly number[];
  readonly classes: number;
}

export interface CnnModel extends Trained {
  readonly kind: 'cnn';
  /** [channels, height, width] */
  readonly picture: readonly [number, number, number];
  readonly channels: readonly number[];
  readonly batchNorm: boolean;
  readonly classes: number;
}

export type Model = MlpModel | CnnModel | (Trained & GptModel);
export type ModelName = 'mlp' | 'cnn' | 'gpt';
export type ModelSet = Readonly<Record<ModelName, Model>>;

const SEED = 1;

// JSON widens every literal to `string`, so the file is checked by hand once: each entry is what its kind promises.
export const BUDGET_MODELS = checkedSet(models.budgets);
export const BENCH_MODELS = checkedSet(models.bench);

function checkedSet(set: Readonly<Record<ModelName, object>>): ModelSet {
  return { mlp: checked(set.mlp), cnn: checked(set.cnn), gpt: checked(set.gpt) };
}

function checked(model: object): Model {
  if (!isModel(model)) throw new Error('tests/budgets/models.json holds a model of no known kind.');
  return model;
}

function isModel(model: object): model is Model {
  return 'kind' in model && ['mlp', 'cnn', 'gpt'].includes(String(model.kind));
}

/** `features` -> `logits` [rows, classes]; a language model has one row for each token. */
export function forwardOf(model: Model): Graph {
  if (model.kind === 'gpt') return buildGpt(model, SEED);
  const shape = {
    featureDims: model.kind === 'mlp' ? [model.features] : [...model.picture],
    outputs: model.classes,
    seed: SEED,
    batch: model.batch,
  };
  if (model.kind === 'mlp') {
    const { hidden } = model;
    return buildBlueprint({ kind: 'mlp', hidden, activation: 'relu', dropout: 0 }, shape);
  }
  const { channels, batchNorm } = model;
  return buildBlueprint(
    { kind: 'cnn', channels, batchNorm, pool: 'max', globalPool: false, dense: 0, dropout: 0 },
    shape,
  );
}

/** The graph of one step: loss, gradients, clipping, update. */
export function trainingOf(
  model: Model,
  options: Pick<TrainingOptions, 'withGradients' | 'activationBytes'> = {},
): TrainingGraph {
  const { batch, optimiser } = model;
  return buildTrainingGraph(forwardOf(model), {
    task: 'classification',
    loss: 'softmax-ce',
    batchSize: batch,
    optimiser,
    ...options,
  });
}

/** Rows that have a label: examples, or tokens. */
export function rowsOf(model: Model): number {
  return model.kind === 'gpt' ? model.batch * model.context : model.batch;
}

export interface Batch {
  readonly features: Float32Array | Int32Array;
  readonly labels: Int32Array;
}

/** Batch number `index` of an endless supply, the same for everybody. Tokens are followed by the next token. */
export function batchOf(model: Model, index = 0): Batch {
  const rows = rowsOf(model);
  const classes = model.kind === 'gpt' ? model.vocabulary : model.classes;
  const random = new PhiloxStream(SEED, 'bench-labels', index);
  if (model.kind === 'gpt') {
    const text = Int32Array.from({ length: rows + model.batch }, () => random.below(classes));
    const line = model.context + 1;
    const cut = (from: number) =>
      Int32Array.from(
        { length: rows },
        (_, row) =>
          text[Math.floor(row / model.context) * line + (row % model.context) + from] ?? 0,
      );
    return { features: cut(0), labels: cut(1) };
  }
  const size = model.kind === 'mlp' ? model.features : model.picture.reduce((a, b) => a * b, 1);
  return {
    features: normals(rows * size, 1, SEED, `bench-features-${index}`),
    labels: Int32Array.from({ length: rows }, () => random.below(classes)),
  };
}

/** Everything that step number `step` (from 1) is fed, beside the State. */
export function feedsOf(
  model: Model,
  step: number,
  { features, labels }: Batch,
): Map<string, Feed> {
  return new Map<string, Feed>([
    ['features', features],
    ['labels', labels],
    ['sample_weight', new Float32Array(rowsOf(model)).fill(1)],
    ['learning_rate', Float32Array.of(model.learningRate)],
    ['step', Float32Array.of(step)],
    ['clip_norm', Float32Array.of(model.clipNorm)],
  ]);
}
