/**
 * Two models on the same rows. Because most rows are right (or wrong) for both, the paired interval is far
 * narrower than two separate ones. With n rows, b right only by A, c right only by B:
 *   loss = (b - c) / n
 *   p = (b + 1)/(n + 2), q = (c + 1)/(n + 2):  p - q +- z sqrt((p + q - (p - q)^2) / (n + 2))
 * Source: Bonett and Price 2012, "Adjusted Wald confidence interval for a difference of binomial proportions
 * based on paired data". RMSE: the difference of the two by the paired bootstrap over rows.
 */
import { AppError } from '../core/errors';
import type { PairedComparison, PredictionRow, TaskType } from '../protocol/entities';
import { Z95, bootstrap } from './intervals';

export function comparePaired(
  a: readonly PredictionRow[],
  b: readonly PredictionRow[],
  task: TaskType,
): PairedComparison {
  const byRow = new Map(b.map((row) => [row.row, row]));
  const pairs = a.flatMap((rowA) => {
    const rowB = byRow.get(rowA.row);
    return rowB ? [[rowA, rowB] as const] : [];
  });
  if (pairs.length === 0 || pairs.length !== a.length || a.length !== b.length) {
    throw new AppError(
      'compare/different-rows',
      `Two models can only be compared on the same rows: the first has ${a.length}, the second ${b.length}, ${pairs.length} are in both. Evaluate both on the same part of the same data.`,
      { a: a.length, b: b.length, common: pairs.length },
    );
  }
  return task === 'classification' ? compareAccuracy(pairs) : compareRmse(pairs);
}

type Pairs = readonly (readonly [PredictionRow, PredictionRow])[];

function compareAccuracy(pairs: Pairs): PairedComparison {
  const right = ({ actual, predicted }: PredictionRow) => actual === predicted;
  const onlyARight = pairs.filter(([a, b]) => right(a) && !right(b)).length;
  const onlyBRight = pairs.filter(([a, b]) => !right(a) && right(b)).length;
  const n = pairs.length;
  const p = (onlyARight + 1) / (n + 2);
  const q = (onlyBRight + 1) / (n + 2);
  const spread = Z95 * Math.sqrt((p + q - (p - q) ** 2) / (n + 2));
  return {
    rows: n,
    loss: {
      value: (onlyARight - onlyBRight) / n,
      low: Math.max(-1, p - q - spread),
      high: Math.min(1, p - q + spread),
    },
    onlyARight,
    onlyBRight,
  };
}

function compareRmse(pairs: Pairs): PairedComparison {
  const squares = ({ actual, predicted }: PredictionRow) => (predicted - actual) ** 2;
  const a = Float64Array.from(pairs, ([rowA]) => squares(rowA));
  const b = Float64Array.from(pairs, ([, rowB]) => squares(rowB));
  const rise = (rows: Uint32Array) => {
    let sumA = 0;
    let sumB = 0;
    for (const row of rows) {
      sumA += a[row] ?? 0;
      sumB += b[row] ?? 0;
    }
    return Math.sqrt(sumB / rows.length) - Math.sqrt(sumA / rows.length);
  };
  const every = Uint32Array.from(a, (_, index) => index);
  const value = rise(every);
  // Seed 0: a comparison has no run of its own, and must give the same figures whenever it is asked.
  const [interval] = bootstrap(pairs.length, 0, 'paired-rmse', (drawn) => [rise(drawn)]);
  return {
    rows: pairs.length,
    loss: { value, low: interval?.low ?? value, high: interval?.high ?? value },
    onlyARight: a.filter((error, index) => error < (b[index] ?? 0)).length,
    onlyBRight: a.filter((error, index) => error > (b[index] ?? 0)).length,
  };
}
