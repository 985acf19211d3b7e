/** What a blueprint's form allows, what a new project starts with, and the check that both keep. */
import { AppError } from '../core/errors';
import type { BlueprintConfig, TaskType } from '../protocol/entities';

export const BLUEPRINT_LIMITS = {
  hidden: { count: [0, 6], width: [1, 2048] },
  blocks: { count: [1, 6], channels: [1, 512] },
  /** 0 means no hidden dense layer. */
  dense: [0, 2048],
  dropout: [0, 0.9],
  activations: ['relu', 'tanh', 'sigmoid', 'gelu'],
} as const;

type Range = readonly [low: number, high: number];

/** Throws `blueprint/limits` naming the field, what it may be and what it is. */
export function checkBlueprint(config: BlueprintConfig): void {
  const limits = BLUEPRINT_LIMITS;
  switch (config.kind) {
    case 'linear':
      return;
    case 'mlp':
      whole('number of hidden layers', config.hidden.length, limits.hidden.count);
      for (const [index, width] of config.hidden.entries()) {
        whole(`width of hidden layer ${index + 1}`, width, limits.hidden.width);
      }
      if (!limits.activations.includes(config.activation)) {
        throw new AppError(
          'blueprint/limits',
          `"${String(config.activation)}" is not an activation; choose ${limits.activations.join(', ')}.`,
          { field: 'activation', found: config.activation },
        );
      }
      within('dropout', config.dropout, limits.dropout);
      return;
    case 'cnn':
      whole('number of blocks', config.channels.length, limits.blocks.count);
      for (const [index, channels] of config.channels.entries()) {
        whole(`number of channels of block ${index + 1}`, channels, limits.blocks.channels);
      }
      whole('width of the dense layer', config.dense, limits.dense);
      within('dropout', config.dropout, limits.dropout);
  }
}

function whole(field: string, value: number, range: Range): void {
  if (!Number.isInteger(value)) throw outside(field, value, range);
  within(field, value, range);
}

function within(field: string, value: number, range: Range): void {
  if (!(value >= range[0] && value <= range[1])) throw outside(field, value, range);
}

function outside(field: string, found: number, [low, high]: Range): AppError {
  return new AppError(
    'blueprint/limits',
    `The ${field} must be from ${low} to ${high}, not ${found}.`,
    { field, found, low, high },
  );
}

/**
 * A blueprint that suits the data: a small CNN for pictures, an MLP whose width grows with the number of rows
 * for tables. `rows` are the training rows.
 */
export function defaultBlueprint(
  task: TaskType,
  featureDims: readonly number[],
  rows: number,
): BlueprintConfig {
  const [, height = 1, width = 1] = featureDims;
  if (featureDims.length === 3 && Math.min(height, width) >= 4) {
    // Halve down to about 6 pixels: 28 gives two blocks, 64 and more three.
    const side = Math.min(height, width);
    const channels = side >= 48 ? [16, 32, 64] : side >= 8 ? [16, 32] : [16];
    return {
      kind: 'cnn',
      channels,
      batchNorm: true,
      pool: 'max',
      globalPool: side >= 96,
      dense: 64,
      dropout: 0.25,
    };
  }
  const hidden = rows < 200 ? [16] : rows < 5000 ? [32, 16] : rows < 50_000 ? [64, 32] : [128, 64];
  // Dropout makes regression on few rows worse: its noise is in the units of the target.
  const dropout = task === 'classification' && rows >= 200 ? 0.1 : 0;
  return { kind: 'mlp', hidden, activation: 'relu', dropout };
}
