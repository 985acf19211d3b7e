/** Plain configurations that tests change one thing of. */
import type { RecipeConfig, RunConfig, SplitConfig } from '../../src/protocol/entities';

export const RECIPE: RecipeConfig = {
  format: 1,
  use: {},
  imputeNumeric: 'median',
  standardise: true,
};

export const SPLIT: SplitConfig = {
  kind: 'stratified',
  train: 0.7,
  validation: 0.15,
  test: 0.15,
  seed: 1,
};

export function runConfig(
  change: Pick<RunConfig, 'datasetId' | 'target' | 'task'> & Partial<RunConfig>,
): RunConfig {
  return {
    format: 1,
    recipe: RECIPE,
    split: SPLIT,
    blueprint: { kind: 'linear' },
    training: {
      epochs: 1,
      batchSize: 32,
      learningRate: 0.01,
      optimiser: { kind: 'sgd', momentum: 0 },
      schedule: { kind: 'constant', warmup: 0 },
      clipNorm: 0,
      loss: change.task === 'regression' ? 'mse' : 'softmax-ce',
      classWeights: 'none',
      patience: 0,
      augment: null,
      maxSeconds: null,
    },
    seed: 1,
    executor: 'auto',
    ...change,
  };
}
