/** What lies under each window of a pool, axis by axis; a window is the product of its axes. */
import { cube } from '../Conv/window';
import type { Window, WindowAxis } from '../Conv/window';

/** For each output the positions in the picture under its window. */
export function positionsUnder(axis: WindowAxis): number[][] {
  return Array.from({ length: axis.output }, (_, output) => {
    const start = output * axis.stride - axis.before;
    const taps = Array.from({ length: axis.kernel }, (__, tap) => start + tap * axis.dilation);
    return taps.filter((position) => position >= 0 && position < axis.input);
  });
}

/** For each output how many taps its window counts: those in the picture, or in picture and padding. */
function countsUnder(axis: WindowAxis, includePad: boolean): number[] {
  if (!includePad) return positionsUnder(axis).map(({ length }) => length);
  // What reaches over the padding (ceil_mode) never counts.
  const { input, before, after } = axis;
  return positionsUnder({ ...axis, input: input + before + after, before: 0 }).map(
    ({ length }) => length,
  );
}

/** For every output position of one plane 1 / (elements that its average is taken over). */
export function sharesOf(window: Window, includePad: boolean): Float64Array {
  const [deep, high, wide] = cube(window).map((axis) => countsUnder(axis, includePad));
  const shares: number[] = [];
  for (const d of deep ?? []) {
    for (const h of high ?? []) {
      for (const w of wide ?? []) shares.push(d * h * w === 0 ? 0 : 1 / (d * h * w));
    }
  }
  return Float64Array.from(shares);
}

/** Calls `visit` for each output position of a plane with the elements of the plane under it, in order. */
export function forEachWindow(
  window: Window,
  visit: (output: number, elements: readonly number[]) => void,
): void {
  const axes = cube(window);
  const [deep, high, wide] = axes;
  const [deeps, highs, wides] = [deep, high, wide].map(positionsUnder);
  let output = 0;
  for (const ds of deeps ?? []) {
    for (const hs of highs ?? []) {
      for (const ws of wides ?? []) {
        const elements: number[] = [];
        for (const d of ds) {
          for (const h of hs) {
            const row = (d * high.input + h) * wide.input;
            for (const w of ws) elements.push(row + w);
          }
        }
        visit(output++, elements);
      }
    }
  }
}
