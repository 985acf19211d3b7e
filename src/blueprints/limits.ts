/** What a blueprint's form allows, and the check that keeps it. */
import { AppError } from '../core/errors';
import type { OwnBlueprint } from '../protocol/entities';

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
export function checkBlueprint(config: OwnBlueprint): void {
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
