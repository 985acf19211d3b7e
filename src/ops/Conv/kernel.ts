/**
 * Convolution and its two gradients in NCHW, direct: for groups, and where the columns of columns.ts would take
 * too much memory. tfjs computes a weight gradient with one thread a weight and
 * wants another layout for each; here every thread owns its outputs, sums in a fixed order, and nothing is
 * transposed. The weight gradient is cut by image so that small filters still fill a GPU.
 */
import { kernel } from '../lowering/kernel';
import type { FlatWindow } from '../lowering/window';
import { reduction } from '../reductions/kernel';
import type { Backend, TensorInfo } from '../lowering/tfjs';

export interface ConvShape {
  readonly x: readonly number[]; // [N, C, H, W]
  readonly w: readonly number[]; // [O, C / groups, kH, kW]
  readonly y: readonly number[]; // [N, O, outH, outW]
  readonly groups: number;
  readonly window: FlatWindow;
}

type Runner = (inputs: readonly TensorInfo[]) => TensorInfo;

function sizes({ x, w, y, groups }: ConvShape) {
  return {
    batch: x[0] ?? 1,
    channels: x[1] ?? 1,
    outputs: y[1] ?? 1,
    groupIn: w[1] ?? 1,
    groupOut: (w[0] ?? 1) / groups,
  };
}

/** Below so many threads a GPU starves. */
const FEW_THREADS = 1024;

/** Channels a thread computes at once: each loaded pixel is used that often. */
function tileOf(channels: number, threads: number): number {
  return [8, 4, 2].find((tile) => channels % tile === 0 && threads / tile >= FEW_THREADS) ?? 1;
}

/** y[n,o,·,·] = Σ_c,ky,kx w[o,c,ky,kx] · x[n,c, ·s + k·d − pad] (+ bias[o]) */
export function convForward(backend: Backend, shape: ConvShape, bias: boolean): Runner {
  const { batch, channels, outputs, groupIn, groupOut } = sizes(shape);
  const v = shape.window;
  const taps = v.kernelHeight * v.kernelWidth;
  const plane = v.outHeight * v.outWidth;
  const tile = tileOf(groupOut, batch * outputs * plane);
  const lanes = Array.from({ length: tile }, (_, lane) => lane);
  return kernel(backend, {
    label: 'Conv',
    output: { dtype: 'float32', dims: shape.y },
    inputCount: bias ? 3 : 2,
    threads: (batch * outputs * plane) / tile,
    body: `  let pixel = index % ${plane};
  let ox = pixel % ${v.outWidth};
  let oy = pixel / ${v.outWidth};
  let block = index / ${plane};
  let o = (block % ${outputs / tile}) * ${tile};
  let n = block / ${outputs / tile};
  let channel = ${shape.groups === 1 ? '0' : `(o / ${groupOut}) * ${groupIn}`};
  ${lanes.map((l) => `var t${l} = ${bias ? `x2[o + ${l}]` : '0.0'};`).join('\n  ')}
  for (var c = 0; c < ${groupIn}; c++) {
    let image = (n * ${channels} + channel + c) * ${v.height * v.width};
    let filters = (o * ${groupIn} + c) * ${taps};
    for (var ky = 0; ky < ${v.kernelHeight}; ky++) {
      let iy = oy * ${v.strideY} + ky * ${v.dilationY} - (${v.padTop});
      if (iy < 0 || iy >= ${v.height}) { continue; }
      for (var kx = 0; kx < ${v.kernelWidth}; kx++) {
        let ix = ox * ${v.strideX} + kx * ${v.dilationX} - (${v.padLeft});
        if (ix < 0 || ix >= ${v.width}) { continue; }
        let value = x0[image + iy * ${v.width} + ix];
        let tap = filters + ky * ${v.kernelWidth} + kx;
        ${lanes.map((l) => `t${l} += value * x1[tap + ${l * groupIn * taps}];`).join('\n        ')}
      }
    }
  }
  let place = (n * ${outputs} + o) * ${plane} + pixel;
  ${lanes.map((l) => `result[place + ${l * plane}] = t${l};`).join('\n  ')}`,
  });
}

/** dx from inputs (dy, w): every input pixel gathers the outputs whose window covered it. */
export function convGradInput(backend: Backend, shape: ConvShape): Runner {
  const { batch, channels, outputs, groupIn, groupOut } = sizes(shape);
  const v = shape.window;
  const taps = v.kernelHeight * v.kernelWidth;
  const plane = v.height * v.width;
  const outPlane = v.outHeight * v.outWidth;
  const tile = tileOf(groupIn, batch * channels * plane);
  const lanes = Array.from({ length: tile }, (_, lane) => lane);
  const position = (
    axis: 'y' | 'x',
    stride: number,
    dilation: number,
    pad: number,
    out: number,
  ) => `
    let from_${axis} = i${axis} + ${pad} - k${axis} * ${dilation};
    ${stride === 1 ? `let o${axis} = from_${axis};` : `if (from_${axis} % ${stride} != 0) { continue; } let o${axis} = from_${axis} / ${stride};`}
    if (from_${axis} < 0 || o${axis} >= ${out}) { continue; }`;
  return kernel(backend, {
    label: 'ConvGradInput',
    output: { dtype: 'float32', dims: shape.x },
    inputCount: 2,
    threads: (batch * channels * plane) / tile,
    body: `  let pixel = index % ${plane};
  let ix = pixel % ${v.width};
  let iy = pixel / ${v.width};
  let block = index / ${plane};
  let c = (block % ${channels / tile}) * ${tile};
  let n = block / ${channels / tile};
  let group = c / ${groupIn};
  let inner = c % ${groupIn};
  ${lanes.map((l) => `var t${l} = 0.0;`).join('\n  ')}
  for (var ky = 0; ky < ${v.kernelHeight}; ky++) {${position('y', v.strideY, v.dilationY, v.padTop, v.outHeight)}
    for (var kx = 0; kx < ${v.kernelWidth}; kx++) {${position('x', v.strideX, v.dilationX, v.padLeft, v.outWidth)}
      for (var k = 0; k < ${groupOut}; k++) {
        let o = group * ${groupOut} + k;
        let value = x0[(n * ${outputs} + o) * ${outPlane} + oy * ${v.outWidth} + ox];
        let tap = (o * ${groupIn} + inner) * ${taps} + ky * ${v.kernelWidth} + kx;
        ${lanes.map((l) => `t${l} += value * x1[tap + ${l * taps}];`).join('\n        ')}
      }
    }
  }
  let place = (n * ${channels} + c) * ${plane} + pixel;
  ${lanes.map((l) => `result[place + ${l * plane}] = t${l};`).join('\n  ')}`,
  });
}

/** dw from inputs (dy, x): first the sum over each image's pixels, then over the images in order. */
export function convGradWeight(backend: Backend, shape: ConvShape): Runner {
  const { batch, channels, outputs, groupIn, groupOut } = sizes(shape);
  const v = shape.window;
  const taps = v.kernelHeight * v.kernelWidth;
  const weights = outputs * groupIn * taps;
  const outPlane = v.outHeight * v.outWidth;
  const tile = tileOf(groupOut, batch * weights);
  const lanes = Array.from({ length: tile }, (_, lane) => lane);
  const perImage = weights / tile;
  // Rows and columns of the output whose window stays inside, for one tap, without a test in the inner loop.
  const range = (
    axis: 'y' | 'x',
    stride: number,
    dilation: number,
    pad: number,
    out: number,
    length: number,
  ) => `
  let shift_${axis} = k${axis} * ${dilation} - (${pad});
  let first_${axis} = max(0, (${stride - 1} - shift_${axis}) / ${stride});
  let room_${axis} = ${length - 1} - shift_${axis};
  let last_${axis} = select(min(${out - 1}, room_${axis} / ${stride}), -1, room_${axis} < 0);`;
  const parts = kernel(backend, {
    label: 'ConvGradWeight images',
    output: { dtype: 'float32', dims: [batch, weights] },
    inputCount: 2,
    threads: batch * perImage,
    body: `  let n = index / ${perImage};
  let within = index % ${perImage};
  let tap = within % ${taps};
  let kx = tap % ${v.kernelWidth};
  let ky = tap / ${v.kernelWidth};
  let c = (within / ${taps}) % ${groupIn};
  let o = (within / ${taps * groupIn}) * ${tile};
  let channel = ${shape.groups === 1 ? '0' : `(o / ${groupOut}) * ${groupIn}`} + c;
  let image = (n * ${channels} + channel) * ${v.height * v.width};
  let gradient = (n * ${outputs} + o) * ${outPlane};
  ${lanes.map((l) => `var t${l} = 0.0;`).join('\n  ')}${range('y', v.strideY, v.dilationY, v.padTop, v.outHeight, v.height)}${range('x', v.strideX, v.dilationX, v.padLeft, v.outWidth, v.width)}
  for (var oy = first_y; oy <= last_y; oy++) {
    let row = image + (oy * ${v.strideY} + shift_y) * ${v.width} + shift_x;
    let line = gradient + oy * ${v.outWidth};
    for (var ox = first_x; ox <= last_x; ox++) {
      let value = x1[row + ox * ${v.strideX}];
      ${lanes.map((l) => `t${l} += value * x0[line + ox + ${l * outPlane}];`).join('\n      ')}
    }
  }
  let place = n * ${weights} + (o * ${groupIn} + c) * ${taps} + tap;
  ${lanes.map((l) => `result[place + ${l * groupIn * taps}] = t${l};`).join('\n  ')}`,
  });
  const sum = reduction(backend, {
    label: 'ConvGradWeight sum',
    dims: [batch, weights],
    axes: [0],
    combine: 'sum',
    element: 'x0[i]',
    inputCount: 1,
    output: { dtype: 'float32', dims: shape.w },
  });
  return (inputs) => {
    const images = parts(inputs);
    const result = sum([images]);
    backend.disposeData(images.dataId);
    return result;
  };
}
