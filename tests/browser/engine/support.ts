/** Small models and batches for the executors, and what is measured between them. */
import { buildBlueprint } from '../../../src/blueprints/build';
import { dropoutKey, normals } from '../../../src/core/philox';
import { sizeOf } from '../../../src/core/dtype';
import type { Executor, Feeds, Program, State } from '../../../src/engine/executor';
import type { Graph } from '../../../src/onnx/graph';
import { DROPOUT_KEY } from '../../../src/ops/DropoutMask/spec';
import type { OwnBlueprint, OptimiserConfig } from '../../../src/protocol/entities';
import { buildTrainingGraph } from '../../../src/training/training-graph';
import type { TrainingGraph } from '../../../src/training/training-graph';

export const ADAM: OptimiserConfig = { kind: 'adam', beta1: 0.9, beta2: 0.999, epsilon: 1e-8 };
export const ADAMW: OptimiserConfig = { ...ADAM, kind: 'adamw', weightDecay: 0.05 };
export const SGD: OptimiserConfig = { kind: 'sgd', momentum: 0.9 };

export interface Model {
  readonly name: string;
  readonly blueprint: OwnBlueprint;
  readonly featureDims: readonly number[];
  readonly classes: number;
  readonly batchSize: number;
}

export const MLP: Model = {
  name: 'MLP',
  blueprint: { kind: 'mlp', hidden: [16, 8], activation: 'relu', dropout: 0.2 },
  featureDims: [6],
  classes: 3,
  batchSize: 16,
};

export const CNN: Model = {
  name: 'CNN',
  blueprint: {
    kind: 'cnn',
    channels: [8],
    batchNorm: true,
    pool: 'max',
    globalPool: false,
    dense: 12,
    dropout: 0.25,
  },
  featureDims: [1, 12, 12],
  classes: 4,
  batchSize: 8,
};

/** The other branches: average pool, global pool, no norm. */
export const CNN_AVERAGE: Model = {
  ...CNN,
  name: 'CNN with average pools',
  blueprint: {
    kind: 'cnn',
    channels: [4, 6],
    batchNorm: false,
    pool: 'average',
    globalPool: true,
    dense: 0,
    dropout: 0,
  },
};

export function forwardOf(model: Model, seed = 7): Graph {
  return buildBlueprint(model.blueprint, {
    featureDims: model.featureDims,
    outputs: model.classes,
    seed,
  });
}

export function trainingOf(model: Model, optimiser: OptimiserConfig = ADAM): TrainingGraph {
  return buildTrainingGraph(forwardOf(model), {
    task: 'classification',
    loss: 'softmax-ce',
    batchSize: model.batchSize,
    optimiser,
    withGradients: true,
  });
}

/** A batch that can be learned: each class has its own mean. */
export function feedsFor(model: Model, step: number): Map<string, Float32Array | Int32Array> {
  const { batchSize, classes, featureDims } = model;
  const size = sizeOf(featureDims);
  const noise = normals(batchSize * size, 1, 3, 'feeds', step);
  const labels = Int32Array.from({ length: batchSize }, (_, row) => (row * 7 + step) % classes);
  const features = noise.map((value, index) => {
    const label = labels[Math.floor(index / size)] ?? 0;
    return value * 0.5 + Math.sin((index % size) * (label + 1));
  });
  const feeds = new Map<string, Float32Array | Int32Array>([
    ['features', features],
    ['labels', labels],
    // The last row is padding of the tail batch.
    ['sample_weight', new Float32Array(batchSize).fill(1).fill(0, batchSize - 1)],
    ['learning_rate', Float32Array.of(0.01)],
    ['step', Float32Array.of(step)],
    ['clip_norm', Float32Array.of(1)],
  ]);
  return feeds.set(DROPOUT_KEY, dropoutKey(8, step));
}

export interface Session {
  readonly state: State;
  readonly program: Program;
}

export async function open(executor: Executor, training: TrainingGraph): Promise<Session> {
  const state = await executor.createState(training.stateSpecs);
  await state.write(training.initialState);
  const { updates, outputs } = training;
  const program = await executor.compile(training.graph, state, { updates, outputs });
  return { state, program };
}

export async function stepAndRead(
  program: Program,
  feeds: Feeds,
): Promise<Map<string, Float32Array>> {
  return program.step(feeds).read();
}

export interface Trained {
  readonly losses: readonly number[];
  readonly first: ReadonlyMap<string, Float32Array>;
  readonly state: ReadonlyMap<string, Float32Array>;
}

/** Trains `steps` steps with at most two in flight, as the loop does. */
export async function train(
  executor: Executor,
  model: Model,
  steps: number,
  optimiser = ADAM,
): Promise<Trained> {
  const training = trainingOf(model, optimiser);
  const { state, program } = await open(executor, training);
  const reads: Promise<Map<string, Float32Array>>[] = [];
  for (let step = 1; step <= steps; step++) {
    if (step > 2) await reads[step - 3];
    reads.push(program.step(feedsFor(model, step)).read());
  }
  const results = await Promise.all(reads);
  const losses = results.map(
    (result) =>
      (result.get('loss_numerator')?.[0] ?? NaN) / (result.get('loss_denominator')?.[0] ?? NaN),
  );
  const final = await state.read();
  program.dispose();
  state.dispose();
  return { losses, first: results[0] ?? new Map<string, Float32Array>(), state: final };
}

/** ‖a − b‖₂ / max(‖b‖₂, 1e-6) */
export function distance(
  a: ArrayLike<number> | undefined,
  b: ArrayLike<number> | undefined,
): number {
  if (a === undefined || b === undefined || a.length !== b.length) return Infinity;
  let difference = 0;
  let norm = 0;
  for (let i = 0; i < b.length; i++) {
    difference += ((a[i] as number) - (b[i] as number)) ** 2;
    norm += (b[i] as number) ** 2;
  }
  return Math.sqrt(difference) / Math.max(Math.sqrt(norm), 1e-6);
}
