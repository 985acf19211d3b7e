/** Numbers that ran away: what is not finite, and what was known when it happened. */
import { AppError } from '../core/errors';
import type { Divergence, FittedRecipe } from '../protocol/entities';
import type { Tensors } from './loop-types';
import { scaleSpecs } from './loss-scale';

/** Values of a column beyond this, unscaled, make gradients that a usual learning rate cannot bear. */
const LARGE = 10;

/** Of the loss scale: its norm is that of the last step, which may have overflowed and been skipped. */
const MAY_OVERFLOW: ReadonlySet<string> = new Set(scaleSpecs().map(({ name }) => name));

/** The first tensor with a number that is not finite; null where all are. */
export function notFinite(tensors: Tensors): string | null {
  for (const [name, values] of tensors) {
    if (MAY_OVERFLOW.has(name)) continue;
    for (const value of values) if (!Number.isFinite(value)) return name;
  }
  return null;
}

/** Columns that reach the model as they are, though their values are large. */
export function unscaledColumns({ input }: FittedRecipe): Divergence['unscaled'] {
  if (input.type !== 'table') return [];
  return input.numeric
    .filter(({ mean, scale }) => mean === 0 && scale === 1)
    .map(({ column, min, max }) => ({ column, largest: Math.max(Math.abs(min), Math.abs(max)) }))
    .filter(({ largest }) => largest > LARGE);
}

export function diverged(divergence: Divergence): AppError {
  const { step, what, learningRate, precision, keptEpoch } = divergence;
  const subject = {
    loss: 'The loss was',
    weights: 'A weight was',
    validation: 'The loss on the rows held back for checking was',
  }[what];
  const kept =
    keptEpoch === null
      ? 'No epoch had ended before, so there is no model.'
      : `The best weights before that, of epoch ${keptEpoch}, are kept.`;
  const other = precision === 'float16' ? 'float32' : 'a bound on the gradient norm';
  return new AppError(
    'training/diverged',
    `${subject} no longer a finite number at step ${step}. ${kept} Try a smaller learning rate than ${learningRate}, or ${other}.`,
    { step, learningRate, divergence },
  );
}

/** What a `training/diverged` error tells. */
export function divergenceOf(error: unknown): Divergence | null {
  if (!(error instanceof AppError) || error.code !== 'training/diverged') return null;
  return error.data['divergence'] as Divergence;
}
