/**
 * The two tasks of the bench: same architecture, same initial weights, same batch and same optimiser for every
 * contender, so that their losses after some steps must agree. A contender gives `step`, which resolves with the
 * loss once the whole step is done.
 */
import { buildBlueprint } from '../src/blueprints/build';
import { normals } from '../src/core/philox';
import type { Graph } from '../src/onnx/graph';
import type { OwnBlueprint } from '../src/protocol/entities';

export type TaskName = 'mlp' | 'cnn';
export const CLASSES = 10;
export const LEARNING_RATE = 1e-3;
export const BETA1 = 0.9;
export const BETA2 = 0.999;
export const EPSILON = 1e-8;

export interface Task {
  readonly name: TaskName;
  readonly batch: number;
  /** Shape of one example, channels first. */
  readonly featureDims: readonly number[];
  readonly graph: Graph;
  readonly features: Float32Array;
  readonly labels: Int32Array;
}

export interface Contender {
  /** The library and the version that really ran. */
  readonly version: string;
  step(): Promise<number>;
}

const BLUEPRINTS: Readonly<Record<TaskName, OwnBlueprint>> = {
  mlp: { kind: 'mlp', hidden: [128], activation: 'relu', dropout: 0 },
  cnn: {
    kind: 'cnn',
    channels: [16, 32],
    batchNorm: false,
    pool: 'max',
    globalPool: false,
    dense: 0,
    dropout: 0,
  },
};

export function taskOf(name: TaskName): Task {
  const batch = name === 'mlp' ? 64 : 32;
  const featureDims = name === 'mlp' ? [784] : [1, 28, 28];
  return {
    name,
    batch,
    featureDims,
    graph: buildBlueprint(BLUEPRINTS[name], { featureDims, outputs: CLASSES, seed: 1 }),
    features: normals(batch * 784, 1, 1, 'bench'),
    labels: Int32Array.from({ length: batch }, (_, row) => row % CLASSES),
  };
}

export interface Weight {
  readonly name: string;
  readonly dims: readonly number[];
  readonly data: Float32Array;
}

/** Initial weights in the order of the layers, kernel before bias. */
export function weightsOf(task: Task): Weight[] {
  const weights: Weight[] = [];
  for (const [name, { dims, data }] of task.graph.initializers) {
    if (data instanceof Float32Array && /\.(weight|bias)$/.test(name))
      weights.push({ name, dims, data });
  }
  return weights;
}
