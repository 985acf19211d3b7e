/**
 * Max and average pooling with their gradients, NCHW. A tie in a max window goes to its first element, forward and
 * backward; the gradient gathers (every input pixel looks at the windows over it), so nothing is added atomically.
 */
import { kernel } from '../lowering/kernel';
import type { FlatWindow } from '../lowering/window';
import type { Backend, TensorInfo } from '../lowering/tfjs';

type Runner = (inputs: readonly TensorInfo[]) => TensorInfo;

/** Sets `oy`, `ox`, and `image` (the input plane) from the number of an output pixel. */
const locate = (v: FlatWindow): string => `  let ox = index % ${v.outWidth};
  let oy = (index / ${v.outWidth}) % ${v.outHeight};
  let image = index / ${v.outHeight * v.outWidth} * ${v.height * v.width};`;

/** Walks the pixels of the window at (`oy`, `ox`); `at` is the input's element. */
const walk = (v: FlatWindow, body: string): string => `
  for (var ky = 0; ky < ${v.kernelHeight}; ky++) {
    let iy = oy * ${v.strideY} + ky * ${v.dilationY} - (${v.padTop});
    if (iy < 0 || iy >= ${v.height}) { continue; }
    for (var kx = 0; kx < ${v.kernelWidth}; kx++) {
      let ix = ox * ${v.strideX} + kx * ${v.dilationX} - (${v.padLeft});
      if (ix < 0 || ix >= ${v.width}) { continue; }
      let at = image + iy * ${v.width} + ix;
      ${body}
    }
  }`;

/** Walks the windows that cover input pixel `index`: sets `image`, `gradient` (dy's plane), `oy`, `ox`. */
const covering = (v: FlatWindow, body: string): string => `  let px = index % ${v.width};
  let py = (index / ${v.width}) % ${v.height};
  let plane = index / ${v.height * v.width};
  let image = plane * ${v.height * v.width};
  let gradient = plane * ${v.outHeight * v.outWidth};
  var total = 0.0;
  for (var wy = 0; wy < ${v.kernelHeight}; wy++) {
    let sy = py + ${v.padTop} - wy * ${v.dilationY};
    if (sy < 0 || sy % ${v.strideY} != 0 || sy / ${v.strideY} >= ${v.outHeight}) { continue; }
    let oy = sy / ${v.strideY};
    for (var wx = 0; wx < ${v.kernelWidth}; wx++) {
      let sx = px + ${v.padLeft} - wx * ${v.dilationX};
      if (sx < 0 || sx % ${v.strideX} != 0 || sx / ${v.strideX} >= ${v.outWidth}) { continue; }
      let ox = sx / ${v.strideX};
      ${body}
    }
  }
  result[index] = total;`;

export function maxPool(backend: Backend, y: readonly number[], v: FlatWindow): Runner {
  return kernel(backend, {
    label: 'MaxPool',
    output: { dtype: 'float32', dims: y },
    inputCount: 1,
    body: `${locate(v)}
  var best = -3.4028234e38;${walk(v, 'best = max(best, x0[at]);')}
  result[index] = best;`,
  });
}

/** Number of the winning input element (row-major over the whole input), as ONNX's second output. */
export function maxPoolIndices(backend: Backend, y: readonly number[], v: FlatWindow): Runner {
  return kernel(backend, {
    label: 'MaxPool indices',
    output: { dtype: 'int64', dims: y },
    inputCount: 1,
    body: `${locate(v)}
  var winner = -1;${walk(v, 'if (winner < 0 || x0[at] > x0[max(winner, 0)]) { winner = at; }')}
  result[index] = winner;`,
  });
}

/** dx from inputs (dy, x). */
export function maxPoolGrad(backend: Backend, x: readonly number[], v: FlatWindow): Runner {
  const search = walk(v, 'if (winner < 0 || x1[at] > x1[max(winner, 0)]) { winner = at; }');
  return kernel(backend, {
    label: 'MaxPoolGrad',
    output: { dtype: 'float32', dims: x },
    inputCount: 2,
    body: covering(
      v,
      `var winner = -1;${search}
      if (winner == index) { total += x0[gradient + oy * ${v.outWidth} + ox]; }`,
    ),
  });
}

/** WGSL: how many input elements the window at (`oy`, `ox`) averages. Counted padding is the whole window. */
function divisor(v: FlatWindow, includePad: boolean): string {
  if (includePad)
    return `fn share(oy: i32, ox: i32) -> f32 { return f32(${v.kernelHeight * v.kernelWidth}); }`;
  return `fn share(oy: i32, ox: i32) -> f32 {
  let image = 0;
  var count = 0;${walk(v, 'count += select(0, 1, at >= 0);')}
  return f32(count);
}`;
}

export function averagePool(
  backend: Backend,
  y: readonly number[],
  v: FlatWindow,
  includePad: boolean,
): Runner {
  return kernel(backend, {
    label: 'AveragePool',
    output: { dtype: 'float32', dims: y },
    inputCount: 1,
    helpers: divisor(v, includePad),
    body: `${locate(v)}
  var total = 0.0;${walk(v, 'total += x0[at];')}
  result[index] = total / share(oy, ox);`,
  });
}

/** dx from input dy alone. */
export function averagePoolGrad(
  backend: Backend,
  x: readonly number[],
  v: FlatWindow,
  includePad: boolean,
): Runner {
  return kernel(backend, {
    label: 'AveragePoolGrad',
    output: { dtype: 'float32', dims: x },
    inputCount: 1,
    helpers: divisor(v, includePad),
    body: covering(v, `total += x0[gradient + oy * ${v.outWidth} + ox] / share(oy, ox);`),
  });
}
