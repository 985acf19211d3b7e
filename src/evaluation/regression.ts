/**
 * The report on a regressor, in the target's own unit:
 *   MAE = (1/n) sum |e|,   RMSE = sqrt((1/n) sum e^2),   R^2 = 1 - sum e^2 / sum (y - mean y)^2
 * with e = predicted - actual, as in scikit-learn; intervals by the bootstrap over rows.
 */
import type { PredictionRow, RegressionReport } from '../protocol/entities';
import { bootstrap } from './intervals';

const MOST_BARS = 30;

export function regressionReport(rows: readonly PredictionRow[], seed: number): RegressionReport {
  const errors = Float64Array.from(rows, ({ actual, predicted }) => predicted - actual);
  // Centred first: sums of squares of large targets would cancel.
  const centre = rows.reduce((sum, { actual }) => sum + actual, 0) / Math.max(rows.length, 1);
  const truth = Float64Array.from(rows, ({ actual }) => actual - centre);
  const every = Uint32Array.from(rows, (_, index) => index);
  const [mae = 0, rmse = 0, r2 = 0] = figures(errors, truth, every);
  const intervals = bootstrap(rows.length, seed, 'regression', (drawn) =>
    figures(errors, truth, drawn),
  );
  const estimate = (value: number, index: number) => ({
    value,
    low: intervals[index]?.low ?? value,
    high: intervals[index]?.high ?? value,
  });
  return {
    task: 'regression',
    mae: estimate(mae, 0),
    rmse: estimate(rmse, 1),
    r2: estimate(r2, 2),
    total: rows.length,
    residuals: { histogram: histogram(errors) },
  };
}

function figures(errors: Float64Array, truth: Float64Array, rows: Uint32Array): readonly number[] {
  let absolute = 0;
  let squared = 0;
  let sum = 0;
  let sumSquares = 0;
  for (const row of rows) {
    const error = errors[row] ?? 0;
    const y = truth[row] ?? 0;
    absolute += Math.abs(error);
    squared += error * error;
    sum += y;
    sumSquares += y * y;
  }
  const n = Math.max(rows.length, 1);
  const total = sumSquares - (sum * sum) / n;
  // A target that never varies: all of it explained, or none (scikit-learn's convention).
  const r2 = total > 0 ? 1 - squared / total : squared === 0 ? 1 : 0;
  return [absolute / n, Math.sqrt(squared / n), r2];
}

/** Bars of equal width over the errors; about the square root of their number, at most 30. */
function histogram(errors: Float64Array): RegressionReport['residuals']['histogram'] {
  if (errors.length === 0) return [];
  const low = errors.reduce((least, error) => Math.min(least, error), Infinity);
  const high = errors.reduce((most, error) => Math.max(most, error), -Infinity);
  const bars = high > low ? Math.max(5, Math.min(MOST_BARS, Math.ceil(errors.length ** 0.5))) : 1;
  const width = (high - low) / bars;
  const counts = new Array<number>(bars).fill(0);
  for (const error of errors) {
    const bar = width > 0 ? Math.min(bars - 1, Math.floor((error - low) / width)) : 0;
    counts[bar] = (counts[bar] ?? 0) + 1;
  }
  return counts.map((count, index) => ({
    low: low + width * index,
    high: index === bars - 1 ? high : low + width * (index + 1),
    count,
  }));
}
