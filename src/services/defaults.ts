/**
 * What a project begins with, chosen by its data: the only place where architectures and training settings have
 * default figures. The figures for the two starters are measured: `npm run demo` holds them to their floors.
 */
import type {
  BlueprintConfig,
  DatasetVersion,
  ImagesManifest,
  OptimiserConfig,
  OwnBlueprint,
  RecipeConfig,
  SplitConfig,
  TaskType,
  TrainingConfig,
} from '../protocol/entities';

export const DEFAULT_SEED = 1;

export const OPTIMISERS = {
  sgd: { kind: 'sgd', momentum: 0.9 },
  adam: { kind: 'adam', beta1: 0.9, beta2: 0.999, epsilon: 1e-8 },
  adamw: { kind: 'adamw', beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weightDecay: 0.01 },
  // Its steps are all of one size: the authors take a third to a tenth of AdamW's rate, and more decay.
  lion: { kind: 'lion', beta1: 0.9, beta2: 0.99, weightDecay: 0.1 },
} as const satisfies Record<OptimiserConfig['kind'], OptimiserConfig>;

export const BLUEPRINTS = {
  linear: { kind: 'linear' },
  mlp: { kind: 'mlp', hidden: [32, 32], activation: 'relu', dropout: 0 },
  cnn: {
    kind: 'cnn',
    channels: [16, 32],
    batchNorm: true,
    pool: 'max',
    globalPool: false,
    dense: 64,
    dropout: 0.2,
  },
} as const satisfies Record<OwnBlueprint['kind'], OwnBlueprint>;

/** A table trains for about so many steps, within bounds on the epochs. */
const TABLE_STEPS = 1_500;
const TABLE_EPOCHS = { fewest: 5, most: 200 } as const;

export function defaultRecipe(): RecipeConfig {
  return { format: 1, use: {}, imputeNumeric: 'median', standardise: true };
}

/** Groups from which whole ones can be kept together without one of them ruling a part. */
const MANY_GROUPS = 6;

/** Pictures of several groups are tested on a group never seen, because those of one group are often alike. */
export function defaultSplit(seed = DEFAULT_SEED, dataset?: DatasetVersion): SplitConfig {
  const shares = { train: 0.7, validation: 0.15, test: 0.15, seed };
  const manifest = dataset?.manifest;
  const groups = (manifest?.type === 'images' && manifest.groups?.names) || [];
  if (groups.length < 2) return { kind: 'stratified', ...shares };
  return groups.length >= MANY_GROUPS
    ? { kind: 'grouped', by: 'group', ...shares }
    : { kind: 'fixed', by: 'group', testGroups: groups.slice(-1), ...shares };
}

/** Pictures larger than this are pooled as a whole at the end: a dense layer on every dot would be enormous. */
const SMALL_PICTURE = 32;

export function defaultBlueprint({ manifest }: DatasetVersion): BlueprintConfig {
  if (manifest.type !== 'images') return BLUEPRINTS.mlp;
  if (manifest.width <= SMALL_PICTURE) return BLUEPRINTS.cnn;
  const channels = manifest.width <= 2 * SMALL_PICTURE ? [16, 32, 64] : [16, 32, 64, 64];
  return { ...BLUEPRINTS.cnn, channels, globalPool: true };
}

/** Photographs are trained on for about so many steps, within bounds on the epochs. */
const PICTURE_STEPS = 600;
const PICTURE_EPOCHS = { fewest: 6, most: 40 } as const;

export function defaultTraining(dataset: DatasetVersion, task: TaskType): TrainingConfig {
  const { rows } = dataset.manifest;
  const loss = task === 'regression' ? 'mse' : 'softmax-ce';
  const common = { loss, clipNorm: 1, classWeights: 'none', maxSeconds: null } as const;
  if (dataset.manifest.type === 'images') {
    return {
      ...common,
      epochs: 6,
      batchSize: 32,
      learningRate: 0.004,
      optimiser: OPTIMISERS.adamw,
      schedule: { kind: 'cosine', warmup: 0.05 },
      patience: 0,
      augment: { shift: 1, rotate: 10, zoom: 0.1 },
      ...(dataset.manifest.channels === 3 && photographs(dataset.manifest)),
    };
  }
  const batchSize = tableBatch(rows);
  const perEpoch = Math.ceil((rows * 0.7) / batchSize);
  const epochs = Math.round(TABLE_STEPS / perEpoch);
  return {
    ...common,
    epochs: Math.min(TABLE_EPOCHS.most, Math.max(TABLE_EPOCHS.fewest, epochs)),
    batchSize,
    learningRate: 0.01,
    optimiser: OPTIMISERS.adamw,
    schedule: { kind: 'cosine', warmup: 0.05 },
    patience: 30,
    augment: null,
  };
}

/** What sees the world from the left may see it from the right, in another light. */
function photographs({ rows, width }: ImagesManifest): Pick<TrainingConfig, 'epochs' | 'augment'> {
  const epochs = Math.round(PICTURE_STEPS / Math.ceil((rows * 0.7) / 32));
  return {
    epochs: Math.min(PICTURE_EPOCHS.most, Math.max(PICTURE_EPOCHS.fewest, epochs)),
    augment: {
      shift: Math.round(width / 16),
      rotate: 10,
      zoom: 0.1,
      flip: true,
      brightness: 0.1,
      contrast: 0.1,
    },
  };
}

/** The linear baseline: few weights, so a high learning rate and a short course reach its best. */
export function linearBaselineTraining(dataset: DatasetVersion, task: TaskType): TrainingConfig {
  const training = defaultTraining(dataset, task);
  if (dataset.manifest.type === 'images') {
    return { ...training, epochs: 3, augment: null, batchSize: 64, learningRate: 0.003 };
  }
  return { ...training, epochs: Math.min(60, training.epochs), learningRate: 0.03, patience: 15 };
}

/** Small tables in batches of 16, large ones in up to 256: a power of two near rows / 100. */
function tableBatch(rows: number): number {
  const wanted = 2 ** Math.round(Math.log2(Math.max(1, rows / 100)));
  return Math.min(256, Math.max(16, wanted));
}
