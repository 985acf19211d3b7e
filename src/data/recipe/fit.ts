/**
 * Fits a recipe on the training rows and nothing else: medians, means, deviations, ranges and vocabularies as
 * plain figures. Figures are of the float32 values that a model will see, computed in float64.
 */
import { AppError } from '../../core/errors';
import { planColumns, tooLargeForFloat32 } from '../columns-plan';
import { checkPreparation, pictureDims } from './pictures';
import type {
  CategoricalFeature,
  DataFinding,
  FittedRecipe,
  NumericFeature,
  RecipeConfig,
} from '../../protocol/entities';
import type { Dataset } from '../dataset';
import type { Target } from '../target';

/** The rarest categories beyond this share the "other" feature. */
const MOST_VOCABULARY = 256;

export interface Fitted {
  readonly recipe: FittedRecipe;
  /** Columns that were wanted but cannot be used. */
  readonly findings: readonly DataFinding[];
}

export async function fitRecipe(
  dataset: Dataset,
  target: Target,
  config: RecipeConfig,
  train: Uint32Array,
): Promise<Fitted> {
  const fittedTarget = fitTarget(target, train);
  if (dataset.type === 'images') {
    const { channels, height, width, fit } = dataset.manifest;
    const stored = { channels, height, width };
    const preparation = checkPreparation(stored, config.image ?? {});
    const input = { type: 'images' as const, ...stored, ...(fit && { fit }), ...preparation };
    return {
      recipe: { format: 1, input, featureDims: pictureDims(input), target: fittedTarget },
      findings: [],
    };
  }
  const numeric: NumericFeature[] = [];
  const categorical: CategoricalFeature[] = [];
  const findings: DataFinding[] = [];
  for (const { column, used } of planColumns(dataset.manifest, target.column, config.use)) {
    if (!used) continue;
    const data = await dataset.column(column.name);
    if (data.storage === 'codes') {
      categorical.push(fitCategories(column.name, data.codes, data.vocabulary, train));
    } else if (tooLargeForFloat32(data.values)) {
      findings.push(tooLarge(column.name));
    } else {
      numeric.push(fitNumeric(column.name, data.values, train, config));
    }
  }
  const width =
    numeric.length + categorical.reduce((sum, { vocabulary }) => sum + vocabulary.length + 2, 0);
  if (width === 0) {
    throw new AppError(
      'data/no-features',
      'No column is left to learn from. Switch on at least one column besides the target.',
    );
  }
  return {
    recipe: {
      format: 1,
      input: { type: 'table', numeric, categorical },
      featureDims: [width],
      target: fittedTarget,
    },
    findings,
  };
}

export function tooLarge(column: string): DataFinding {
  return {
    code: 'too-large',
    column,
    message:
      'The numbers are too large and too close together: as 32-bit floats, which models use, they become equal. Subtract a constant first.',
  };
}

function fitTarget(target: Target, train: Uint32Array): FittedRecipe['target'] {
  const { column, task, classes, values } = target;
  if (task === 'classification') return { task, column, classes };
  const { mean, deviation } = moments(Float64Array.from(train, (row) => values[row] ?? 0));
  return { task, column, mean, scale: safeScale(deviation, mean) };
}

function fitNumeric(
  column: string,
  values: Float64Array,
  train: Uint32Array,
  config: RecipeConfig,
): NumericFeature {
  const seen = Float64Array.from(train, (row) => Math.fround(values[row] ?? Number.NaN)).sort();
  // NaN sorts last.
  const present = seen.subarray(0, firstNaN(seen));
  if (present.length === 0) {
    // Every training row is a gap: the feature is constant zero, whatever comes later.
    return { column, impute: 0, mean: 0, scale: 1, min: 0, max: 0 };
  }
  const impute = config.imputeNumeric === 'mean' ? moments(present).mean : median(present);
  // Standardisation sees what the model sees: the imputed column.
  const filled = seen.map((value) => (Number.isNaN(value) ? Math.fround(impute) : value));
  const { mean, deviation } = moments(filled);
  return {
    column,
    impute,
    mean: config.standardise ? mean : 0,
    scale: config.standardise ? safeScale(deviation, mean) : 1,
    min: present[0] ?? 0,
    max: present.at(-1) ?? 0,
  };
}

function firstNaN(sorted: Float64Array): number {
  let low = 0;
  let high = sorted.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (Number.isNaN(sorted[middle])) high = middle;
    else low = middle + 1;
  }
  return low;
}

function median(sorted: Float64Array): number {
  const middle = sorted.length >> 1;
  const upper = sorted[middle] ?? 0;
  return sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] ?? 0) + upper) / 2;
}

/** Mean and population standard deviation (divided by n), in two passes. */
function moments(values: Float64Array): { mean: number; deviation: number } {
  let sum = 0;
  for (const value of values) sum += value;
  const mean = sum / values.length;
  let squares = 0;
  for (const value of values) squares += (value - mean) ** 2;
  return { mean, deviation: Math.sqrt(squares / values.length) };
}

/** A constant column, rounding noise included, is centred and not divided by (nearly) zero. */
function safeScale(deviation: number, mean: number): number {
  return deviation > 10 * Number.EPSILON * Math.abs(mean) ? deviation : 1;
}

function fitCategories(
  column: string,
  codes: Int32Array,
  texts: readonly string[],
  train: Uint32Array,
): CategoricalFeature {
  const counts = new Map<number, number>();
  for (const row of train) {
    const code = codes[row] ?? -1;
    if (code >= 0) counts.set(code, (counts.get(code) ?? 0) + 1);
  }
  // Most frequent first; equal counts in order of first appearance in the file.
  const vocabulary = [...counts]
    .sort(([codeA, a], [codeB, b]) => b - a || codeA - codeB)
    .slice(0, MOST_VOCABULARY)
    .map(([code]) => texts[code] ?? '');
  return { column, vocabulary, typical: vocabulary[0] ?? '' };
}
