/**
 * GridSample: every output looks up the picture at its own coordinates. Jaderberg et al. 2015, "Spatial Transformer
 * Networks"; interpolation and padding as PyTorch's grid_sample, on which the standard is modelled.
 */
import { sizeOf } from '../../core/dtype';
import type { ReferenceKernel } from '../define';
import { roundHalfEven } from '../elementwise/rounding';
import { dimAt, stridesOf } from '../shapes';
import { inputValue, makeValue } from '../value';
import { CUBIC_A, gridAxis, gridSettings, OFFSETS } from './settings';
import type { GridAxis, GridSettings } from './settings';

function reflect(x: number, { low, range }: GridAxis): number {
  if (range <= 0) return low;
  const distance = Math.abs(x - low);
  const times = Math.floor(distance / range);
  const rest = distance - times * range;
  return low + (times % 2 === 0 ? rest : range - rest);
}

function clamp(x: number, length: number): number {
  return Math.min(Math.max(x, 0), length - 1);
}

function weightsAt(fraction: number, mode: GridSettings['mode']): number[] {
  if (mode === 'nearest') return [1];
  if (mode === 'linear') return [1 - fraction, fraction];
  const near = (t: number) => ((CUBIC_A + 2) * t - (CUBIC_A + 3)) * t * t + 1;
  const far = (t: number) => ((CUBIC_A * t - 5 * CUBIC_A) * t + 8 * CUBIC_A) * t - 4 * CUBIC_A;
  return [far(fraction + 1), near(fraction), near(1 - fraction), far(2 - fraction)];
}

/** Pixels and weights of one coordinate along one axis; −1 is a pixel outside. */
function tapsAt(
  coordinate: number,
  axis: GridAxis,
  settings: GridSettings,
): { index: number; weight: number }[] {
  const { mode, padding } = settings;
  let x = coordinate * axis.factor + axis.shift;
  if (mode === 'nearest') x = roundHalfEven(x);
  // Of cubic windows every pixel is clamped on its own, as PyTorch and onnxruntime do.
  if (padding === 'border' && mode !== 'cubic') x = clamp(x, axis.length);
  if (padding === 'reflection') x = reflect(x, axis);
  const below = mode === 'nearest' ? x : Math.floor(x);
  const weights = weightsAt(x - below, mode);
  return OFFSETS[mode].map((offset, tap) => {
    let index = below + offset;
    if (padding === 'reflection') index = Math.trunc(reflect(index, axis));
    const inside = index >= 0 && index < axis.length;
    const weight = weights[tap] ?? 0;
    if (padding === 'zeros' && !inside) return { index: -1, weight };
    return { index: clamp(index, axis.length), weight };
  });
}

export const gridSampleReference: ReferenceKernel = (node, inputs) => {
  const x = inputValue(node, inputs, 0);
  const grid = inputValue(node, inputs, 1);
  const settings = gridSettings(node);
  const [batch, channels, ...space] = x.dims as [number, number, ...number[]];
  const rank = space.length;
  const axes = space.map((length) => gridAxis(length, settings));
  const strides = stridesOf(space);
  const plane = sizeOf(space);
  const points = sizeOf(grid.dims.slice(1, -1));
  const y = makeValue(x.dtype, [batch, channels, ...grid.dims.slice(1, -1)]);
  for (let n = 0; n < batch; n++) {
    for (let p = 0; p < points; p++) {
      // All pixels that this point reads, as the product of its axes.
      let pixels = [{ at: 0, weight: 1 }];
      axes.forEach((axis, a) => {
        // The grid names x before y before z.
        const coordinate = grid.data[(n * points + p) * rank + rank - 1 - a] as number;
        const taps = tapsAt(coordinate, axis, settings).filter(({ index }) => index >= 0);
        pixels = pixels.flatMap(({ at, weight }) =>
          taps.map((tap) => ({
            at: at + tap.index * dimAt(strides, a),
            weight: weight * tap.weight,
          })),
        );
      });
      for (let c = 0; c < channels; c++) {
        const image = (n * channels + c) * plane;
        let sum = 0;
        for (const { at, weight } of pixels) sum += weight * (x.data[image + at] as number);
        y.data[(n * channels + c) * points + p] = sum;
      }
    }
  }
  return [y];
};
