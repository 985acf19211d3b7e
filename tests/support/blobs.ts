import { PhiloxStream } from '../../src/core/philox';
import type { FittedRecipe, RunConfig, TrainingConfig } from '../../src/protocol/entities';
import type { Rows } from './in-memory-batches';

/** Three clouds of points in the plane that a line cannot part perfectly. */
export function blobs(count: number, seed: number): Rows {
  const stream = new PhiloxStream(seed, 'blobs');
  const centres = [
    [0, 1.5],
    [1.5, -1],
    [-1.5, -1],
  ];
  const features: number[][] = [];
  const labels: number[] = [];
  for (let i = 0; i < count; i++) {
    const label = i % 3;
    const [x = 0, y = 0] = centres[label] ?? [];
    features.push([x + 0.7 * stream.normal(), y + 0.7 * stream.normal()]);
    labels.push(label);
  }
  return { features, labels };
}

export const BLOB_TRAINING: TrainingConfig = {
  epochs: 6,
  batchSize: 16,
  learningRate: 0.02,
  optimiser: { kind: 'adamw', beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weightDecay: 0.01 },
  schedule: { kind: 'cosine', warmup: 0.1 },
  clipNorm: 1,
  loss: 'softmax-ce',
  classWeights: 'none',
  patience: 0,
  augment: null,
  maxSeconds: null,
};

export const BLOB_CONFIG: Pick<RunConfig, 'task' | 'blueprint' | 'training' | 'seed'> = {
  task: 'classification',
  blueprint: { kind: 'mlp', hidden: [12, 8], activation: 'relu', dropout: 0.2 },
  training: BLOB_TRAINING,
  seed: 3,
};

/** Two numeric columns, already standardised. */
export const BLOB_RECIPE: FittedRecipe = {
  format: 1,
  input: {
    type: 'table',
    numeric: ['x', 'y'].map((column) => ({
      column,
      impute: 0.25,
      mean: 0,
      scale: 1,
      min: -4,
      max: 4,
    })),
    categorical: [],
  },
  featureDims: [2],
  target: { task: 'classification', column: 'cloud', classes: ['a', 'b', 'c'] },
};
