/**
 * Convolution as a matrix product (Chellapilla, Puri & Simard 2006): every window is written out as a column, so
 * the arithmetic runs in the product kernels, several times as fast as a direct loop. The columns take `taps`
 * times the memory of the picture; where that is too much, and with groups, kernel.ts convolves directly.
 */
import { sizeOf } from '../../core/dtype';
import { kernel } from '../lowering/kernel';
import type { Backend, TensorInfo } from '../lowering/tfjs';
import type { FlatWindow } from '../lowering/window';
import { multiply } from '../MatMul/tfjs';
import { reduction } from '../reductions/kernel';
import type { ConvShape } from './kernel';

type Runner = (inputs: readonly TensorInfo[]) => TensorInfo;

/** 64 MiB of float32. */
const MOST_ELEMENTS = 2 ** 24;
const MOST_TAPS = 49;

function sizes({ x, w, y, window: v }: ConvShape) {
  return {
    batch: x[0] ?? 1,
    channels: x[1] ?? 1,
    outputs: y[1] ?? 1,
    taps: sizeOf(w.slice(2)),
    pixels: v.height * v.width,
    positions: v.outHeight * v.outWidth,
  };
}

/** Whether the columns of the picture (or, for the input's gradient, of dY) are small enough. */
export function fitsColumns(shape: ConvShape, backward: boolean): boolean {
  const { batch, channels, outputs, taps, pixels, positions } = sizes(shape);
  const elements = batch * taps * (backward ? outputs * pixels : channels * positions);
  return shape.groups === 1 && taps <= MOST_TAPS && elements <= MOST_ELEMENTS;
}

/**
 * [planes, taps, positions]: for every position the values under its window (forward), or for every pixel the
 * outputs whose window covers it, by tap (backward). What lies outside is 0.
 */
function columns(backend: Backend, planes: number, v: FlatWindow, backward: boolean): Runner {
  const [toHeight, toWidth] = backward ? [v.height, v.width] : [v.outHeight, v.outWidth];
  const [fromHeight, fromWidth] = backward ? [v.outHeight, v.outWidth] : [v.height, v.width];
  const positions = toHeight * toWidth;
  const line = (
    axis: 'y' | 'x',
    tap: number,
    stride: number,
    dilation: number,
    pad: number,
    length: number,
  ): string => {
    const name = `s${axis}${tap}`;
    if (!backward) {
      return `  let ${name} = p${axis} * ${stride} + (${tap * dilation - pad});
  let ${name}_inside = ${name} >= 0 && ${name} < ${length};`;
    }
    return `  let ${name}_shifted = p${axis} + (${pad - tap * dilation});
  let ${name} = ${name}_shifted / ${stride};
  let ${name}_inside = ${name}_shifted >= 0 && ${name} < ${length}${stride === 1 ? '' : ` && ${name}_shifted % ${stride} == 0`};`;
  };
  const rows = Array.from({ length: v.kernelHeight }, (_, tap) => tap);
  const across = Array.from({ length: v.kernelWidth }, (_, tap) => tap);
  const taps = rows.length * across.length;
  return kernel(backend, {
    label: backward ? 'Conv columns of dY' : 'Conv columns',
    output: { dtype: 'float32', dims: [planes, taps, positions] },
    inputCount: 1,
    threads: planes * positions,
    body: `  let position = index % ${positions};
  let px = position % ${toWidth};
  let py = position / ${toWidth};
  let plane = index / ${positions};
  let source = plane * ${fromHeight * fromWidth};
  let place = plane * ${taps * positions} + position;
${rows.map((tap) => line('y', tap, v.strideY, v.dilationY, v.padTop, fromHeight)).join('\n')}
${across.map((tap) => line('x', tap, v.strideX, v.dilationX, v.padLeft, fromWidth)).join('\n')}
${rows
  .flatMap((r) =>
    across.map((c) => {
      const at = `source + clamp(sy${r}, 0, ${fromHeight - 1}) * ${fromWidth} + clamp(sx${c}, 0, ${fromWidth - 1})`;
      const slot = `place + ${(r * across.length + c) * positions}`;
      return `  result[${slot}] = select(0.0, x0[${at}], sy${r}_inside && sx${c}_inside);`;
    }),
  )
  .join('\n')}`,
  });
}

/** y = W · columns(x) (+ bias), image by image, which is NCHW already. Inputs: x, w and, where given, bias. */
export function convForwardColumns(
  backend: Backend,
  software: boolean,
  shape: ConvShape,
  bias: boolean,
): Runner {
  const { batch, channels, outputs, taps, positions } = sizes(shape);
  const gather = columns(backend, batch * channels, shape.window, false);
  const addBias = kernel(backend, {
    label: 'Conv bias',
    output: { dtype: 'float32', dims: shape.y },
    inputCount: 2,
    body: `  result[index] = x0[index] + x1[(index / ${positions}) % ${outputs}];`,
  });
  const product = multiply(
    backend,
    software,
    {
      batch,
      rows: outputs,
      columns: positions,
      inner: channels * taps,
      transposeA: false,
      transposeB: false,
      batchedA: false,
      batchedB: true,
      output: shape.y,
      alpha: 1,
      ...(bias ? { bias: { beta: 1, rowStride: 1, columnStride: 0 } } : {}),
    },
    bias ? addBias : undefined,
  );
  return ([x, w, ...rest]) => {
    const gathered = gather(x ? [x] : []);
    const result = product([...(w ? [w] : []), gathered, ...rest]);
    backend.disposeData(gathered.dataId);
    return result;
  };
}

/** dw = Σ over images of dY · columns(x)ᵀ, in order. Inputs: dy, x. */
export function convGradWeightColumns(
  backend: Backend,
  software: boolean,
  shape: ConvShape,
): Runner {
  const { batch, channels, outputs, taps, positions } = sizes(shape);
  const gather = columns(backend, batch * channels, shape.window, false);
  const inner = channels * taps;
  const images = multiply(backend, software, {
    batch,
    rows: outputs,
    columns: inner,
    inner: positions,
    transposeA: false,
    transposeB: true,
    batchedA: true,
    batchedB: true,
    output: [batch, outputs, inner],
    alpha: 1,
  });
  const sum = reduction(backend, {
    label: 'ConvGradWeight sum',
    dims: [batch, outputs * inner],
    axes: [0],
    combine: 'sum',
    element: 'x0[i]',
    inputCount: 1,
    output: { dtype: 'float32', dims: shape.w },
  });
  return ([dy, x]) => {
    const gathered = gather(x ? [x] : []);
    const parts = images([...(dy ? [dy] : []), gathered]);
    const result = sum([parts]);
    backend.disposeData(gathered.dataId);
    backend.disposeData(parts.dataId);
    return result;
  };
}

/** dx = W' · columns(dY) with W' the weights by input channel. Inputs: dy, w. */
export function convGradInputColumns(
  backend: Backend,
  software: boolean,
  shape: ConvShape,
): Runner {
  const { batch, channels, outputs, taps, pixels } = sizes(shape);
  const gather = columns(backend, batch * outputs, shape.window, true);
  const turned = kernel(backend, {
    label: 'ConvGradInput weights',
    output: { dtype: 'float32', dims: [channels, outputs * taps] },
    inputCount: 1,
    body: `  let tap = index % ${taps};
  let o = (index / ${taps}) % ${outputs};
  let c = index / ${outputs * taps};
  result[index] = x0[(o * ${channels} + c) * ${taps} + tap];`,
  });
  const product = multiply(backend, software, {
    batch,
    rows: channels,
    columns: pixels,
    inner: outputs * taps,
    transposeA: false,
    transposeB: false,
    batchedA: false,
    batchedB: true,
    output: shape.x,
    alpha: 1,
  });
  return ([dy, w]) => {
    const gathered = gather(dy ? [dy] : []);
    const weights = turned(w ? [w] : []);
    const result = product([weights, gathered]);
    backend.disposeData(gathered.dataId);
    backend.disposeData(weights.dataId);
    return result;
  };
}
