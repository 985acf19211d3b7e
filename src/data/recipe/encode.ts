/** Dataset rows as the raw inputs of a model: what a recipe graph and a ModelVersion are fed with. */
import { AppError } from '../../core/errors';
import { listed } from '../dataset';
import { RAW_INPUTS, RESERVED_CODES } from './compile';
import type { RawPart } from '../../protocol/api';
import type { CategoricalFeature, FittedRecipe } from '../../protocol/entities';
import type { Dataset, TableData } from '../dataset';

export type RawInputs = RawPart['inputs'];

export const MISSING_CODE = 0;
export const OTHER_CODE = 1;

/** Model code of each text of a vocabulary. */
export function codeOf(feature: CategoricalFeature): ReadonlyMap<string, number> {
  return new Map(feature.vocabulary.map((text, index) => [text, index + RESERVED_CODES]));
}

export async function rawInputs(
  dataset: Dataset,
  recipe: FittedRecipe,
  rows: Uint32Array,
): Promise<RawInputs> {
  if (dataset.type === 'images') {
    const { input } = recipe;
    const { channels, height, width, name } = dataset.manifest;
    if (
      input.type !== 'images' ||
      input.channels !== channels ||
      input.height !== height ||
      input.width !== width
    ) {
      throw mismatch(name, `it holds pictures of ${channels} × ${height} × ${width}`);
    }
    const size = channels * height * width;
    const pixels = new Uint8Array(rows.length * size);
    rows.forEach((row, index) => {
      pixels.set(dataset.pixels.subarray(row * size, (row + 1) * size), index * size);
    });
    const dims = [rows.length, channels, height, width];
    return [{ name: RAW_INPUTS.image, dtype: 'uint8', dims, data: pixels }];
  }
  if (recipe.input.type !== 'table') throw mismatch(dataset.manifest.name, 'it is a table');
  return tableInputs(dataset, recipe.input, rows);
}

async function tableInputs(
  table: TableData,
  { numeric, categorical }: Extract<FittedRecipe['input'], { type: 'table' }>,
  rows: Uint32Array,
): Promise<RawInputs> {
  const names = new Set(table.manifest.columns.map((column) => column.name));
  const absent = [...numeric, ...categorical]
    .map(({ column }) => column)
    .filter((name) => !names.has(name));
  if (absent.length > 0) throw mismatch(table.manifest.name, `it has no column ${listed(absent)}`);
  const inputs: RawInputs[number][] = [];
  const count = rows.length;
  if (numeric.length > 0) {
    const width = numeric.length;
    const data = new Float32Array(count * width);
    for (const [position, feature] of numeric.entries()) {
      const column = await table.column(feature.column);
      if (column.storage !== 'float64') {
        throw mismatch(
          table.manifest.name,
          `"${feature.column}" holds text where numbers are needed`,
        );
      }
      rows.forEach((row, index) => {
        data[index * width + position] = column.values[row] ?? Number.NaN;
      });
    }
    inputs.push({ name: RAW_INPUTS.numeric, dtype: 'float32', dims: [count, width], data });
  }
  if (categorical.length > 0) {
    const width = categorical.length;
    const data = new BigInt64Array(count * width);
    for (const [position, feature] of categorical.entries()) {
      const column = await table.column(feature.column);
      const known = codeOf(feature);
      const text =
        column.storage === 'codes'
          ? (row: number): string | undefined => column.vocabulary[column.codes[row] ?? -1]
          : (row: number): string | undefined => numberText(column.values[row] ?? Number.NaN);
      rows.forEach((row, index) => {
        const value = text(row);
        const code = value === undefined ? MISSING_CODE : (known.get(value) ?? OTHER_CODE);
        data[index * width + position] = BigInt(code);
      });
    }
    inputs.push({ name: RAW_INPUTS.categorical, dtype: 'int64', dims: [count, width], data });
  }
  return inputs;
}

/** A number as a category (a second dataset may spell with digits only what the first spelt in words). */
function numberText(value: number): string | undefined {
  return Number.isNaN(value) ? undefined : String(value);
}

function mismatch(name: string, why: string): AppError {
  return new AppError(
    'data/does-not-fit',
    `"${name}" does not fit this model: ${why}. Choose a dataset with the columns that the model was trained on.`,
  );
}
