/** Linear and logarithmic scales with round ticks, for the charts drawn as SVG. */
export interface Scale {
  (value: number): number;
  readonly ticks: readonly number[];
}

/** Maps `[low, high]` to `[from, to]`; a span of nothing maps to the middle. */
export function linear(low: number, high: number, from: number, to: number, wanted = 5): Scale {
  const span = high - low;
  const at = (value: number): number =>
    span === 0 ? (from + to) / 2 : from + ((value - low) / span) * (to - from);
  return Object.assign(at, { ticks: roundTicks(low, high, wanted) });
}

/** Ticks at 1, 2 or 5 times a power of ten, all within `[low, high]`. */
export function roundTicks(low: number, high: number, wanted: number): readonly number[] {
  const span = high - low;
  if (!(span > 0) || !Number.isFinite(span)) return [low];
  const rough = span / Math.max(1, wanted);
  const power = 10 ** Math.floor(Math.log10(rough));
  const unit = [1, 2, 5, 10].find((factor) => factor * power >= rough) ?? 10;
  const step = unit * power;
  const ticks: number[] = [];
  for (let index = Math.ceil(low / step - 1e-9); index * step <= high + step * 1e-9; index++) {
    // Through the exponent, so that 3 * 0.1 reads 0.3.
    ticks.push(Number((index * step).toPrecision(12)));
  }
  return ticks;
}

/** Smaller is nothing beside what 32-bit numbers lose on the way. */
const LEAST_DECADE = -12;

/**
 * Whole decades around what is to be drawn on a logarithmic axis. A loss of zero, smoothed, falls below any number, and
 * where an axis begins so far below uPlot looks for its ticks without end.
 */
export function decades(low: number | null, high: number | null): [number, number] {
  const decade = (value: number | null, round: (power: number) => number, otherwise: number) =>
    value !== null && value > 0 && Number.isFinite(value) ? round(Math.log10(value)) : otherwise;
  const from = Math.max(decade(low, Math.floor, -3), LEAST_DECADE);
  const to = Math.max(decade(high, Math.ceil, 0), from + 1);
  // Through their names: the powers of ten that `**` makes are not always the nearest ones.
  return [Number(`1e${from}`), Number(`1e${to}`)];
}

/** The six series colours in their order; the seventh begins again, told apart by its dash. */
export function seriesColour(index: number): string {
  return `var(--s${(index % 6) + 1})`;
}

export const DASHES = ['', '7 4', '2 3', '9 3 2 3'] as const;

/** Second and later rounds of the six colours get a dash of their own. */
export function seriesDash(index: number): string {
  return DASHES[Math.floor(index / 6) % DASHES.length] ?? '';
}

/** An exponential moving average, started at the first value. `weight` 0 leaves the values alone. */
export function smooth(values: readonly number[], weight: number): readonly number[] {
  let last: number | null = null;
  return values.map((value) => {
    last = last === null ? value : last * weight + value * (1 - weight);
    return last;
  });
}
