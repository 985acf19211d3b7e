/**
 * 95 % intervals. Proportions: Wilson's score interval, which stays inside [0, 1] and is honest at 0 and at n:
 *   (p + z^2/2n +- z sqrt(p(1-p)/n + z^2/4n^2)) / (1 + z^2/n)          (Wilson 1927)
 * Everything else: the percentile bootstrap over rows (Efron 1979), drawn by Philox from the seed given.
 */
import { PhiloxStream } from '../core/philox';
import type { Estimate } from '../protocol/entities';

/** 97.5th percentile of the standard normal distribution. */
export const Z95 = 1.959963984540054;

export function wilson(successes: number, total: number): Estimate {
  if (total === 0) return { value: 0, low: 0, high: 1 };
  const p = successes / total;
  const z2 = Z95 * Z95;
  const centre = p + z2 / (2 * total);
  const spread = Z95 * Math.sqrt((p * (1 - p)) / total + z2 / (4 * total * total));
  const denominator = 1 + z2 / total;
  // At the ends rounding could leave [0, 1] by an ulp.
  return {
    value: p,
    low: successes === 0 ? 0 : Math.max(0, (centre - spread) / denominator),
    high: successes === total ? 1 : Math.min(1, (centre + spread) / denominator),
  };
}

/** Row draws that a bootstrap may make in all: about a second of work. */
const DRAWS = 20_000_000;

/** Enough resamples for stable percentiles, fewer where rows are many (and intervals narrow anyway). */
export function resamplesFor(rows: number): number {
  return Math.max(200, Math.min(1000, Math.floor(DRAWS / Math.max(rows, 1))));
}

/**
 * Resamples `rows` rows with replacement and calls `statistics` with the drawn row numbers (a reused array).
 * Returns the 2.5th and 97.5th percentile of each statistic.
 */
export function bootstrap(
  rows: number,
  seed: number,
  purpose: string,
  statistics: (drawn: Uint32Array) => readonly number[],
): readonly { readonly low: number; readonly high: number }[] {
  const stream = new PhiloxStream(seed, `bootstrap:${purpose}`);
  const drawn = new Uint32Array(rows);
  const found: number[][] = [];
  for (let resample = resamplesFor(rows); resample > 0; resample--) {
    for (let index = 0; index < rows; index++) drawn[index] = stream.below(rows);
    for (const [index, value] of statistics(drawn).entries()) (found[index] ??= []).push(value);
  }
  return found.map((values) => {
    values.sort((a, b) => a - b);
    return { low: quantile(values, 0.025), high: quantile(values, 0.975) };
  });
}

/** Linear interpolation between order statistics (Hyndman and Fan 1996, type 7); `sorted` ascends. */
export function quantile(sorted: ArrayLike<number>, share: number): number {
  const position = (sorted.length - 1) * share;
  const below = Math.floor(position);
  const low = sorted[below] ?? 0;
  const high = sorted[Math.min(below + 1, sorted.length - 1)] ?? low;
  return low + (high - low) * (position - below);
}
