/**
 * Convolution as a matrix product (Chellapilla, Puri & Simard 2006): every window is written out as a column, so
 * the arithmetic runs in the product kernels, several times as fast as a direct loop. The columns take `taps`
 * times the memory of the picture; where that is too much, and with groups, kernel.ts convolves directly. The
 * columns of a 1×1 window are the picture itself.
 */
import { kernel } from '../lowering/kernel';
import { alias } from '../lowering/tfjs';
import type { Backend } from '../lowering/tfjs';
import { coordinates, everyTap } from '../lowering/window';
import type { DeviceAxis, DeviceWindow } from '../lowering/window';
import { multiply } from '../MatMul/tfjs';
import { reduction } from '../reductions/kernel';
import { sizesOf } from './kernel';
import type { ConvShape, Runner } from './kernel';

/** 64 MiB of float32. */
const MOST_ELEMENTS = 2 ** 24;
const MOST_TAPS = 49;

/** Every window is one pixel, in order. */
function pointwise({ axes }: DeviceWindow): boolean {
  return axes.every(
    (axis) =>
      axis.kernel === 1 && axis.stride === 1 && axis.before === 0 && axis.input === axis.output,
  );
}

/** Whether the columns of the picture (or, for the input's gradient, of dY) are small enough. */
export function fitsColumns(shape: ConvShape, backward: boolean): boolean {
  if (shape.groups !== 1) return false;
  if (pointwise(shape.window)) return true;
  const { batch, channels, outputs, taps, pixels, positions } = sizesOf(shape);
  const elements = batch * taps * (backward ? outputs * pixels : channels * positions);
  return taps <= MOST_TAPS && elements <= MOST_ELEMENTS;
}

/**
 * [planes, taps, positions]: for every position the values under its window (forward), or for every pixel the
 * outputs whose window covers it, by tap (backward). What lies outside is 0. The caller owns the result.
 */
function columns(backend: Backend, planes: number, v: DeviceWindow, backward: boolean): Runner {
  if (pointwise(v)) {
    return ([x]) => alias(backend, x as NonNullable<typeof x>, [planes, 1, v.pixels]);
  }
  const { axes, taps } = v;
  const positions = backward ? v.pixels : v.positions;
  const line = (axis: DeviceAxis, tap: number): string => {
    const { name, stride, dilation, before } = axis;
    const source = `s${name}${tap}`;
    if (!backward) {
      return `  let ${source} = o${name} * ${stride} + (${tap * dilation - before});
  let ${source}_inside = ${source} >= 0 && ${source} < ${axis.input};`;
    }
    return `  let ${source}_shifted = i${name} + (${before - tap * dilation});
  let ${source} = ${source}_shifted / ${stride};
  let ${source}_inside = ${source}_shifted >= 0 && ${source} < ${axis.output}${stride === 1 ? '' : ` && ${source}_shifted % ${stride} == 0`};`;
  };
  const lines = axes.flatMap((axis) =>
    Array.from({ length: axis.kernel }, (_, tap) => line(axis, tap)),
  );
  const stores = everyTap(axes).map((tap, number) => {
    // Addresses are clamped rather than branched around; `select` drops what was outside.
    const places = axes.map((axis, at) => {
      const last = (backward ? axis.output : axis.input) - 1;
      const step = backward ? axis.outputStep : axis.inputStep;
      return `clamp(s${axis.name}${tap[at]}, 0, ${last}) * ${step}`;
    });
    const inside = axes.map((axis, at) => `s${axis.name}${tap[at]}_inside`).join(' && ');
    return `  result[place + ${number * positions}] = select(0.0, x0[source + ${places.join(' + ')}], ${inside});`;
  });
  return kernel(backend, {
    label: backward ? 'Conv columns of dY' : 'Conv columns',
    output: { dtype: 'float32', dims: [planes, taps, positions] },
    inputCount: 1,
    threads: planes * positions,
    body: `  let position = index % ${positions};
${coordinates(axes, backward ? 'i' : 'o', 'position')}
  let plane = index / ${positions};
  let source = plane * ${backward ? v.positions : v.pixels};
  let place = plane * ${taps * positions} + position;
${lines.join('\n')}
${stores.join('\n')}`,
  });
}

/** y = W · columns(x) (+ bias), image by image, which is NCHW already. Inputs: x, w and, where given, bias. */
export function convForwardColumns(
  backend: Backend,
  software: boolean,
  shape: ConvShape,
  bias: boolean,
): Runner {
  const { batch, channels, outputs, taps, positions } = sizesOf(shape);
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
  const { batch, channels, outputs, taps, positions } = sizesOf(shape);
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
  const { batch, channels, outputs, taps, pixels } = sizesOf(shape);
  const gather = columns(backend, batch * outputs, shape.window, true);
  // [O, C, taps] -> [C, O, taps]
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
