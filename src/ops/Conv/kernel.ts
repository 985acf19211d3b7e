/**
 * Convolution and its two gradients in NCHW over one to three axes, direct: for groups, and where the columns of
 * columns.ts would take too much memory. tfjs computes a weight gradient with one thread a weight and
 * wants another layout for each; here every thread owns its outputs, sums in a fixed order, and nothing is
 * transposed. The weight gradient is cut by image so that small filters still fill a GPU.
 */
import { kernel } from '../lowering/kernel';
import { addressIn, coordinates } from '../lowering/window';
import type { DeviceAxis, DeviceWindow } from '../lowering/window';
import { reduction } from '../reductions/kernel';
import type { Backend, TensorInfo } from '../lowering/tfjs';

export interface ConvShape {
  readonly x: readonly number[]; // [N, C, ...]
  readonly w: readonly number[]; // [O, C / groups, ...]
  readonly y: readonly number[]; // [N, O, ...]
  readonly groups: number;
  readonly window: DeviceWindow;
}

export type Runner = (inputs: readonly TensorInfo[]) => TensorInfo;

export function sizesOf({ x, w, y, groups, window }: ConvShape) {
  return {
    batch: x[0] ?? 1,
    channels: x[1] ?? 1,
    outputs: y[1] ?? 1,
    groupIn: w[1] ?? 1,
    groupOut: (w[0] ?? 1) / groups,
    ...window,
  };
}

/** Below so many threads a GPU starves. */
const FEW_THREADS = 1024;

/** Channels a thread computes at once: each loaded pixel is used that often. */
function tileOf(channels: number, threads: number): number {
  return [8, 4, 2].find((tile) => channels % tile === 0 && threads / tile >= FEW_THREADS) ?? 1;
}

/** Loops over the taps `k…` of every axis around `body`; `place` says where a tap lands, or continues. */
function overTaps(
  axes: readonly DeviceAxis[],
  place: (axis: DeviceAxis) => string,
  body: string,
): string {
  const heads = axes.map(
    (axis) => `  for (var k${axis.name} = 0; k${axis.name} < ${axis.kernel}; k${axis.name}++) {
${place(axis)}`,
  );
  return `${heads.join('\n')}\n${body}\n${'}'.repeat(axes.length)}`;
}

/** WGSL: the number of the tap `k…`. */
function tapNumber(axes: readonly DeviceAxis[]): string {
  return axes.reduce((below, { name, kernel: size }) => `(${below}) * ${size} + k${name}`, '0');
}

/** y[n,o,·] = Σ_c,k w[o,c,k] · x[n,c, ·s + k·d − pad] (+ bias[o]) */
export function convForward(backend: Backend, shape: ConvShape, bias: boolean): Runner {
  const { batch, channels, outputs, groupIn, groupOut, ...v } = sizesOf(shape);
  const { axes, taps, positions: plane } = v;
  const tile = tileOf(groupOut, batch * outputs * plane);
  const lanes = Array.from({ length: tile }, (_, lane) => lane);
  const walk = overTaps(
    axes,
    ({ name, stride, dilation, before, input }) =>
      `  let i${name} = o${name} * ${stride} + k${name} * ${dilation} - (${before});
  if (i${name} < 0 || i${name} >= ${input}) { continue; }`,
    `  let value = x0[image + ${addressIn(axes, 'i', 'i')}];
  let tap = filters + ${tapNumber(axes)};
  ${lanes.map((l) => `t${l} += value * x1[tap + ${l * groupIn * taps}];`).join('\n  ')}`,
  );
  return kernel(backend, {
    label: 'Conv',
    output: { dtype: 'float32', dims: shape.y },
    inputCount: bias ? 3 : 2,
    threads: (batch * outputs * plane) / tile,
    body: `  let pixel = index % ${plane};
${coordinates(axes, 'o', 'pixel')}
  let block = index / ${plane};
  let o = (block % ${outputs / tile}) * ${tile};
  let n = block / ${outputs / tile};
  let channel = ${shape.groups === 1 ? '0' : `(o / ${groupOut}) * ${groupIn}`};
  ${lanes.map((l) => `var t${l} = ${bias ? `x2[o + ${l}]` : '0.0'};`).join('\n  ')}
  for (var c = 0; c < ${groupIn}; c++) {
    let image = (n * ${channels} + channel + c) * ${v.pixels};
    let filters = (o * ${groupIn} + c) * ${taps};
${walk}
  }
  let place = (n * ${outputs} + o) * ${plane} + pixel;
  ${lanes.map((l) => `result[place + ${l * plane}] = t${l};`).join('\n  ')}`,
  });
}

/** dx from inputs (dy, w): every input pixel gathers the outputs whose window covered it. */
export function convGradInput(backend: Backend, shape: ConvShape): Runner {
  const { batch, channels, outputs, groupIn, groupOut, ...v } = sizesOf(shape);
  const { axes, taps, pixels: plane } = v;
  const tile = tileOf(groupIn, batch * channels * plane);
  const lanes = Array.from({ length: tile }, (_, lane) => lane);
  const walk = overTaps(
    axes,
    ({ name, stride, dilation, before, output }) => `
    let from_${name} = i${name} + ${before} - k${name} * ${dilation};
    ${stride === 1 ? `let o${name} = from_${name};` : `if (from_${name} % ${stride} != 0) { continue; } let o${name} = from_${name} / ${stride};`}
    if (from_${name} < 0 || o${name} >= ${output}) { continue; }`,
    `      for (var k = 0; k < ${groupOut}; k++) {
        let o = group * ${groupOut} + k;
        let value = x0[(n * ${outputs} + o) * ${v.positions} + ${addressIn(axes, 'o', 'o')}];
        let tap = (o * ${groupIn} + inner) * ${taps} + ${tapNumber(axes)};
        ${lanes.map((l) => `t${l} += value * x1[tap + ${l * taps}];`).join('\n        ')}
      }`,
  );
  return kernel(backend, {
    label: 'ConvGradInput',
    output: { dtype: 'float32', dims: shape.x },
    inputCount: 2,
    threads: (batch * channels * plane) / tile,
    body: `  let pixel = index % ${plane};
${coordinates(axes, 'i', 'pixel')}
  let block = index / ${plane};
  let c = (block % ${channels / tile}) * ${tile};
  let n = block / ${channels / tile};
  let group = c / ${groupIn};
  let inner = c % ${groupIn};
  ${lanes.map((l) => `var t${l} = 0.0;`).join('\n  ')}
${walk}
  let place = (n * ${channels} + c) * ${plane} + pixel;
  ${lanes.map((l) => `result[place + ${l * plane}] = t${l};`).join('\n  ')}`,
  });
}

/** dw from inputs (dy, x): first the sum over each image's pixels, then over the images in order. */
export function convGradWeight(backend: Backend, shape: ConvShape): Runner {
  const { batch, channels, outputs, groupIn, groupOut, ...v } = sizesOf(shape);
  const { axes, taps, positions: outPlane } = v;
  const weights = outputs * groupIn * taps;
  const tile = tileOf(groupOut, batch * weights);
  const lanes = Array.from({ length: tile }, (_, lane) => lane);
  const perImage = weights / tile;
  let below = 1;
  const tapCoordinates = axes
    .toReversed()
    .map(({ name, kernel: size }) => {
      const line = `  let k${name} = (tap / ${below}) % ${size};`;
      below *= size;
      return line;
    })
    .join('\n');
  // Positions of the output whose window stays inside, for one tap, without a test in the inner loop.
  const range = ({ name, stride, dilation, before, output, input }: DeviceAxis) => `
  let shift_${name} = k${name} * ${dilation} - (${before});
  let first_${name} = max(0, (${stride - 1} - shift_${name}) / ${stride});
  let room_${name} = ${input - 1} - shift_${name};
  let last_${name} = select(min(${output - 1}, room_${name} / ${stride}), -1, room_${name} < 0);`;
  const loops = axes.map(
    ({ name, stride }) =>
      `  for (var o${name} = first_${name}; o${name} <= last_${name}; o${name}++) {
  let i${name} = o${name} * ${stride} + shift_${name};`,
  );
  const parts = kernel(backend, {
    label: 'ConvGradWeight images',
    output: { dtype: 'float32', dims: [batch, weights] },
    inputCount: 2,
    threads: batch * perImage,
    body: `  let n = index / ${perImage};
  let within = index % ${perImage};
  let tap = within % ${taps};
${tapCoordinates}
  let c = (within / ${taps}) % ${groupIn};
  let o = (within / ${taps * groupIn}) * ${tile};
  let channel = ${shape.groups === 1 ? '0' : `(o / ${groupOut}) * ${groupIn}`} + c;
  let image = (n * ${channels} + channel) * ${v.pixels};
  let gradient = (n * ${outputs} + o) * ${outPlane};
  ${lanes.map((l) => `var t${l} = 0.0;`).join('\n  ')}${axes.map(range).join('')}
${loops.join('\n')}
      let value = x1[image + ${addressIn(axes, 'i', 'i')}];
      let position = gradient + ${addressIn(axes, 'o', 'o')};
      ${lanes.map((l) => `t${l} += value * x0[position + ${l * outPlane}];`).join('\n      ')}
  ${'}'.repeat(axes.length)}
  let place = n * ${weights} + (o * ${groupIn} + c) * ${taps} + tap;
  ${lanes.map((l) => `result[place + ${l * groupIn * taps}] = t${l};`).join('\n  ')}`,
  });
  return addedUp(backend, parts, { dims: [batch, weights], axes: [0], output: shape.w });
}

/** A weight gradient from the partial sums that `parts` makes, added over `axes` in a fixed order. */
export function addedUp(
  backend: Backend,
  parts: ReturnType<typeof kernel>,
  sums: {
    readonly dims: readonly number[];
    readonly axes: readonly number[];
    readonly output: readonly number[];
  },
): Runner {
  const sum = reduction(backend, {
    label: 'ConvGradWeight sum',
    dims: sums.dims,
    axes: sums.axes,
    combine: 'sum',
    element: 'x0[i]',
    inputCount: 1,
    output: { dtype: 'float32', dims: sums.output },
  });
  return (inputs) => {
    const images = parts(inputs);
    const result = sum([images]);
    backend.disposeData(images.dataId);
    return result;
  };
}
