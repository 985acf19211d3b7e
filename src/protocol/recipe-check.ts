/** Whether a value out of a stranger's file is a fitted recipe. Buffers are made by what it says before any model is asked. */
import { sizeOf } from '../core/dtype';
import type { FittedRecipe } from './entities';

/** Far above what the studio makes itself (224), far below what would fill the memory. */
const LARGEST_SIDE = 4096;
const MOST_FEATURES = 64_000_000;

/** Anything that is not a recipe's shape, or that would take more memory than any recipe of ours, is none. */
export function isFittedRecipe(value: unknown): value is FittedRecipe {
  if (!isRecord(value) || value['format'] !== 1 || !areDims(value['featureDims'])) return false;
  return isInput(value['input']) && isTarget(value['target']);
}

function isInput(input: unknown): boolean {
  if (!isRecord(input)) return false;
  if (input['type'] === 'images') {
    const { channels, height, width } = input;
    // Buffers are made by these before the model is asked.
    const side = (value: unknown) => isCount(value) && value <= LARGEST_SIDE;
    return (channels === 1 || channels === 3) && side(height) && side(width);
  }
  const { type, numeric, categorical } = input;
  if (type !== 'table' || !Array.isArray(numeric) || !Array.isArray(categorical)) return false;
  return (
    numeric.every(
      (entry) =>
        isRecord(entry) &&
        isTexts([entry['column']]) &&
        isNumbers(['impute', 'mean', 'scale', 'min', 'max'].map((key) => entry[key])),
    ) &&
    categorical.every(
      (entry) =>
        isRecord(entry) &&
        isTexts([entry['column'], entry['typical']]) &&
        isTexts(entry['vocabulary']),
    )
  );
}

function isTarget(target: unknown): boolean {
  if (!isRecord(target) || typeof target['column'] !== 'string') return false;
  if (target['task'] === 'classification') return isTexts(target['classes']);
  return target['task'] === 'regression' && isNumbers([target['mean'], target['scale']]);
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function isTexts(value: unknown): boolean {
  return Array.isArray(value) && value.every((text) => typeof text === 'string');
}

function isNumbers(value: unknown): boolean {
  return Array.isArray(value) && value.every((entry) => Number.isFinite(entry));
}

function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && Number(value) > 0;
}

/** Of a row's features, and of numbers in all of them. */
function areDims(value: unknown): boolean {
  if (!Array.isArray(value) || value.length > 4 || !value.every(isCount)) return false;
  return sizeOf(value) <= MOST_FEATURES;
}
