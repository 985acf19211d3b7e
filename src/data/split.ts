/**
 * Train, validation and test rows, stratified: every class (or, for a number, every tenth of its range of ranks)
 * is spread over the parts by the same shares, and a class of three rows or more stands in all of them.
 * The same seed gives the same rows. Rows without a target are in no part.
 */
import { AppError } from '../core/errors';
import { PhiloxStream } from '../core/philox';
import type { SplitConfig, SplitPart } from '../protocol/entities';
import type { Target } from './target';

/** Rows of the dataset in ascending order. */
export type Parts = Readonly<Record<SplitPart, Uint32Array>>;

const QUANTILES = 10;
/** A class with fewer rows cannot stand in all three parts. */
export const LEAST_PER_CLASS = 3;

export function splitRows(
  target: Pick<Target, 'task' | 'classes' | 'values'>,
  config: SplitConfig,
): Parts {
  const shares = [config.train, config.validation, config.test];
  const total = shares.reduce((sum, share) => sum + share, 0);
  if (shares.some((share) => !(share > 0)) || Math.abs(total - 1) > 1e-6) {
    throw new AppError(
      'data/split',
      `The parts must be above 0 % and add up to 100 %, not ${shares.map((share) => `${share * 100} %`).join(' + ')}.`,
      { shares },
    );
  }
  const strata = target.task === 'classification' ? byClass(target) : byQuantile(target.values);
  const sizes = strata.map((rows) => rows.length);
  const test = quotas(sizes, config.test, sizes.map(most));
  const left = sizes.map((size, index) => most(size) - (test[index] ?? 0));
  const validation = quotas(sizes, config.validation, left);
  const parts: Record<SplitPart, number[]> = { train: [], validation: [], test: [] };
  strata.forEach((rows, index) => {
    const order = shuffled(rows, new PhiloxStream(config.seed, 'split', index));
    const testEnd = test[index] ?? 0;
    const validationEnd = testEnd + (validation[index] ?? 0);
    order.forEach((row, position) => {
      const part = position < testEnd ? 'test' : position < validationEnd ? 'validation' : 'train';
      parts[part].push(row);
    });
  });
  const empty = (['train', 'validation', 'test'] as const).find((part) => parts[part].length === 0);
  if (empty) {
    const rows = sizes.reduce((sum, size) => sum + size, 0);
    throw new AppError(
      'data/too-few-rows',
      `${rows} rows with a target are too few for a training, a validation and a test part: the ${empty} part would be empty. Bring more rows.`,
      { rows, part: empty },
    );
  }
  return {
    train: Uint32Array.from(parts.train).sort(),
    validation: Uint32Array.from(parts.validation).sort(),
    test: Uint32Array.from(parts.test).sort(),
  };
}

/** Rows of a stratum that need not train. */
function most(size: number): number {
  return Math.max(0, size - 1);
}

/**
 * How many rows of each stratum a part gets: the whole part of the share, then the largest remainders until the
 * part as a whole has its share; at least one where three rows are there, never more than `caps`.
 */
function quotas(sizes: readonly number[], share: number, caps: readonly number[]): number[] {
  const exact = sizes.map((size) => size * share);
  const counts = exact.map((value, index) => {
    const least = (sizes[index] ?? 0) >= LEAST_PER_CLASS ? 1 : 0;
    // A later part must still find one row: 3 rows are 1 + 1 + 1.
    const roof = Math.max(least, Math.min(caps[index] ?? 0, most(sizes[index] ?? 0) - 1));
    return Math.min(Math.max(Math.floor(value), least), roof);
  });
  const wanted = Math.round(exact.reduce((sum, value) => sum + value, 0));
  let given = counts.reduce((sum, count) => sum + count, 0);
  const order = sizes
    .map((_, index) => index)
    .sort((a, b) => remainder(exact, counts, b) - remainder(exact, counts, a) || a - b);
  for (const index of order) {
    if (given >= wanted) break;
    const roof = Math.min(caps[index] ?? 0, most(sizes[index] ?? 0) - 1);
    if (remainder(exact, counts, index) <= 0 || (counts[index] ?? 0) >= roof) continue;
    counts[index] = (counts[index] ?? 0) + 1;
    given++;
  }
  return counts;
}

function remainder(exact: readonly number[], counts: readonly number[], index: number): number {
  return (exact[index] ?? 0) - (counts[index] ?? 0);
}

function byClass({ classes, values }: Pick<Target, 'classes' | 'values'>): number[][] {
  const strata = classes.map((): number[] => []);
  values.forEach((value, row) => {
    if (!Number.isNaN(value)) strata[value]?.push(row);
  });
  return strata;
}

function byQuantile(values: Float64Array): number[][] {
  const rows: number[] = [];
  values.forEach((value, row) => {
    if (!Number.isNaN(value)) rows.push(row);
  });
  rows.sort((a, b) => (values[a] ?? 0) - (values[b] ?? 0) || a - b);
  // At least ten rows a bin, so that every part meets every bin.
  const bins = Math.max(1, Math.min(QUANTILES, Math.floor(rows.length / 10)));
  return Array.from({ length: bins }, (_, bin) =>
    rows
      .slice(Math.floor((bin * rows.length) / bins), Math.floor(((bin + 1) * rows.length) / bins))
      .sort((a, b) => a - b),
  );
}

/** Fisher and Yates' shuffle (Durstenfeld, CACM 1964) of a copy. */
export function shuffled(rows: ArrayLike<number>, random: PhiloxStream): Uint32Array {
  const order = Uint32Array.from(rows);
  for (let last = order.length - 1; last > 0; last--) {
    const other = random.below(last + 1);
    const row = order[last] ?? 0;
    order[last] = order[other] ?? 0;
    order[other] = row;
  }
  return order;
}
