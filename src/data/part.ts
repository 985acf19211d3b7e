/** Rows of a part as raw model inputs with their truths. The test part is sealed: only an explicit opening reads it. */
import { AppError } from '../core/errors';
import { rawInputs } from './recipe/encode';
import type { RawPart } from '../protocol/api';
import type { FittedRecipe, SplitPart } from '../protocol/entities';
import type { PreparedData } from './prepare';

export async function readPart(
  { dataset, target, parts }: PreparedData,
  recipe: FittedRecipe,
  part: SplitPart | 'all',
  { unsealed, limit }: { readonly unsealed: boolean; readonly limit?: number },
): Promise<RawPart> {
  if (!unsealed && (part === 'test' || part === 'all')) {
    throw new AppError(
      'data/sealed',
      'The test part is sealed. Open it on the Evaluate screen; every opening is counted.',
      { part },
    );
  }
  const rows = (part === 'all' ? usableRows(target.values) : parts[part]).slice(0, limit);
  return {
    inputs: await rawInputs(dataset, recipe, rows),
    truth: Float64Array.from(rows, (row) =>
      truthOf(target.values[row] ?? 0, target.classes, recipe),
    ),
    rows,
  };
}

function usableRows(values: Float64Array): Uint32Array {
  const rows: number[] = [];
  values.forEach((value, row) => {
    if (!Number.isNaN(value)) rows.push(row);
  });
  return Uint32Array.from(rows);
}

/** The truth in the model's own class numbers: another dataset may know fewer classes, or others. */
function truthOf(value: number, classes: readonly string[], recipe: FittedRecipe): number {
  if (recipe.target.task === 'regression') return value;
  const label = classes[value] ?? '';
  const index = recipe.target.classes.indexOf(label);
  if (index < 0) {
    throw new AppError(
      'data/unknown-class',
      `The class "${label}" is not one of the model's. Evaluate it on a dataset with its own classes.`,
      { label },
    );
  }
  return index;
}
