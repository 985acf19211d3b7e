/**
 * Resizing along one axis is a small matrix: for each output the inputs it reads and their weights. A picture is
 * resized axis by axis, because every mode of Resize is separable. Keys, "Cubic convolution interpolation for
 * digital image processing" (1981); coordinates as the ONNX standard defines them.
 */
import type { Node } from '../../onnx/graph';
import { floatAttribute, intAttribute, stringAttribute } from '../attributes';
import { shapeError } from '../shapes';

export interface AxisScale {
  readonly axis: number;
  readonly input: number;
  readonly output: number;
  /** As given, or output / input. */
  readonly scale: number;
  /** Start and end of the region along this axis, in [0, 1]. */
  readonly roi: readonly [number, number];
}

export interface AxisResize extends AxisScale {
  /** For each output its inputs and their weights. */
  readonly taps: readonly (readonly { readonly index: number; readonly weight: number }[])[];
  /** Outputs that lie outside the picture (tf_crop_and_resize); they get `extrapolation_value`. */
  readonly outside: readonly number[];
}

/** Where output `at` lies on the input's axis. */
function coordinate(node: Node, mode: string, spec: AxisScale, at: number): number {
  const { input, output, scale, roi } = spec;
  // What the scale asks for; `output` is it rounded down.
  const wanted = scale * input;
  switch (mode) {
    case 'half_pixel':
      return (at + 0.5) / scale - 0.5;
    case 'half_pixel_symmetric':
      return (input / 2) * (1 - output / wanted) + (at + 0.5) / scale - 0.5;
    case 'pytorch_half_pixel':
      return output === 1 ? 0 : (at + 0.5) / scale - 0.5;
    case 'align_corners':
      return wanted === 1 ? 0 : (at * (input - 1)) / (wanted - 1);
    case 'asymmetric':
      return at / scale;
    case 'tf_crop_and_resize': {
      const span = (roi[1] - roi[0]) * (input - 1);
      return roi[0] * (input - 1) + (wanted === 1 ? span / 2 : (at * span) / (wanted - 1));
    }
    default:
      throw shapeError(node, 'coordinate_transformation_mode', 'one of the standard’s', mode);
  }
}

function nearest(node: Node, x: number): number {
  const mode = stringAttribute(node, 'nearest_mode', 'round_prefer_floor');
  switch (mode) {
    case 'round_prefer_floor':
      return Math.ceil(x - 0.5);
    case 'round_prefer_ceil':
      return Math.floor(x + 0.5);
    case 'floor':
      return Math.floor(x);
    case 'ceil':
      return Math.ceil(x);
    default:
      throw shapeError(node, 'nearest_mode', 'one of the standard’s', mode);
  }
}

/** Weight of an input at distance `t`. */
function kernelOf(node: Node, mode: string): { reach: number; weigh: (t: number) => number } {
  if (mode === 'linear') return { reach: 1, weigh: (t) => Math.max(0, 1 - Math.abs(t)) };
  const a = floatAttribute(node, 'cubic_coeff_a', -0.75);
  const weigh = (signed: number): number => {
    const t = Math.abs(signed);
    if (t <= 1) return ((a + 2) * t - (a + 3)) * t * t + 1;
    return t < 2 ? ((a * t - 5 * a) * t + 8 * a) * t - 4 * a : 0;
  };
  return { reach: 2, weigh };
}

/** Inputs under the kernel around `x`; those beyond the edge repeat it, or (`exclude_outside`) are left out. */
function interpolate(node: Node, mode: string, spec: AxisScale, x: number) {
  const { reach, weigh } = kernelOf(node, mode);
  const antialias = intAttribute(node, 'antialias', 0) !== 0;
  const exclude = intAttribute(node, 'exclude_outside', 0) !== 0;
  // Antialiasing widens the kernel so that it covers what one output stands for.
  const shrink = antialias ? Math.min(spec.scale, 1) : 1;
  const weights = new Map<number, number>();
  let total = 0;
  for (let i = Math.ceil(x - reach / shrink); i <= Math.floor(x + reach / shrink); i++) {
    const weight = weigh((i - x) * shrink);
    if (weight === 0 || (exclude && (i < 0 || i >= spec.input))) continue;
    const index = Math.min(Math.max(i, 0), spec.input - 1);
    weights.set(index, (weights.get(index) ?? 0) + weight);
    total += weight;
  }
  const norm = total === 0 ? 1 : total;
  return Array.from(weights, ([index, weight]) => ({ index, weight: weight / norm }));
}

export function resizeAxis(node: Node, spec: AxisScale): AxisResize {
  const mode = stringAttribute(node, 'mode', 'nearest');
  const transform = stringAttribute(node, 'coordinate_transformation_mode', 'half_pixel');
  if (mode !== 'nearest' && mode !== 'linear' && mode !== 'cubic') {
    throw shapeError(node, 'mode', 'nearest, linear or cubic', mode);
  }
  const outside: number[] = [];
  const taps = Array.from({ length: spec.output }, (_, at) => {
    const x = coordinate(node, transform, spec, at);
    if (transform === 'tf_crop_and_resize' && (x < 0 || x > spec.input - 1)) {
      outside.push(at);
      return [];
    }
    if (mode !== 'nearest') return interpolate(node, mode, spec, x);
    // Scales are float32: 3 / 0.33333334 has to be 9, as in the runtimes, and not a little less.
    const index = nearest(node, Math.fround(x));
    return [{ index: Math.min(Math.max(index, 0), spec.input - 1), weight: 1 }];
  });
  return { ...spec, taps, outside };
}
