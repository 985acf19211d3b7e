/** Figures of one weight for the viewer: range, moments, zeros, histogram; and how far it moved from another. */
import { decodeNumbers } from '../core/number-format';
import type { Tensor } from '../onnx/graph';
import type { WeightDetails } from '../protocol/graph-view';

const BINS = 40;

/** null for text, and for a weight without elements. */
export function weightDetails(tensor: Tensor): WeightDetails | null {
  const numbers = numbersOf(tensor);
  if (numbers === null || numbers.length === 0) return null;
  let [min, max, sum, zeros] = [Infinity, -Infinity, 0, 0];
  for (const value of numbers) {
    if (value < min) min = value;
    if (value > max) max = value;
    if (value === 0) zeros++;
    sum += value;
  }
  const mean = sum / numbers.length;
  let squares = 0;
  for (const value of numbers) squares += (value - mean) ** 2;
  const histogram: number[] = [];
  if (max > min && Number.isFinite(max - min)) {
    histogram.push(...new Array<number>(BINS).fill(0));
    const scale = BINS / (max - min);
    for (const value of numbers) {
      const bin = Math.min(BINS - 1, Math.floor((value - min) * scale));
      histogram[bin] = (histogram[bin] ?? 0) + 1;
    }
  }
  return {
    count: numbers.length,
    min,
    max,
    mean,
    deviation: Math.sqrt(squares / numbers.length),
    zeros: zeros / numbers.length,
    histogram,
  };
}

/** ‖b − a‖ / ‖a‖; null where the two cannot be compared. 0 for equal weights, also for all-zero ones. */
export function relativeChange(a: Tensor, b: Tensor): number | null {
  const [from, to] = [numbersOf(a), numbersOf(b)];
  if (from === null || to === null || a.dims.join() !== b.dims.join()) return null;
  let [difference, size] = [0, 0];
  for (let i = 0; i < from.length; i++) {
    const value = from[i] ?? 0;
    difference += ((to[i] ?? 0) - value) ** 2;
    size += value ** 2;
  }
  return difference === 0 ? 0 : Math.sqrt(difference / size);
}

function numbersOf({ dtype, dims, data }: Tensor): (ArrayLike<number> & Iterable<number>) | null {
  if (dtype === 'string' || Array.isArray(data)) return null;
  return data instanceof Float32Array ? data : decodeNumbers(dtype, data, dims);
}
