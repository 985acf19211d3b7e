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

/**
 * Does `body` for each pixel of the window at (`oy`, `ox`), written out. `at` is the input's element, `inside`
 * whether it lies in the picture (else `at` is some other element, to be ignored). No branches: an emulated GPU
 * (SwiftShader, Chromium 156) never came back from short-circuits under a loop whose lanes part.
 */
const walk = (v: FlatWindow, body: string): string => {
  const padded =
    v.padTop > 0 ||
    v.padLeft > 0 ||
    (v.outHeight - 1) * v.strideY + (v.kernelHeight - 1) * v.dilationY >= v.height ||
    (v.outWidth - 1) * v.strideX + (v.kernelWidth - 1) * v.dilationX >= v.width;
  const lines: string[] = [];
  for (let ky = 0; ky < v.kernelHeight; ky++) {
    for (let kx = 0; kx < v.kernelWidth; kx++) {
      const place = padded
        ? `clamp(iy, 0, ${v.height - 1}) * ${v.width} + clamp(ix, 0, ${v.width - 1})`
        : `iy * ${v.width} + ix`;
      const inside = padded
        ? `(iy >= 0) & (iy < ${v.height}) & (ix >= 0) & (ix < ${v.width})`
        : 'true';
      lines.push(`  {
    let iy = oy * ${v.strideY} + (${ky * v.dilationY - v.padTop});
    let ix = ox * ${v.strideX} + (${kx * v.dilationX - v.padLeft});
    let at = image + ${place};
    let inside = ${inside};
    ${body}
  }`);
    }
  }
  return `\n${lines.join('\n')}`;
};

/** WGSL: first and last window along one axis that may cover pixel `p` (dilated windows have holes in between). */
const span = (axis: 'y' | 'x', pad: number, extent: number, stride: number, outputs: number) => `
  let reach_${axis} = p${axis} + ${pad};
  let from_${axis} = max(0, (reach_${axis} - ${extent - stride}) / ${stride});
  let to_${axis} = min(${outputs - 1}, reach_${axis} / ${stride});`;

/** Walks the windows that cover input pixel `index`: sets `image`, `gradient` (dy's plane), `oy`, `ox`. */
const covering = (v: FlatWindow, body: string): string => {
  const extentY = (v.kernelHeight - 1) * v.dilationY + 1;
  const extentX = (v.kernelWidth - 1) * v.dilationX + 1;
  const dilated = v.dilationY > 1 || v.dilationX > 1;
  const onTap = `((reach_y - oy * ${v.strideY}) % ${v.dilationY} == 0) & ((reach_x - ox * ${v.strideX}) % ${v.dilationX} == 0)`;
  return `  let px = index % ${v.width};
  let py = (index / ${v.width}) % ${v.height};
  let plane = index / ${v.height * v.width};
  let image = plane * ${v.height * v.width};
  let gradient = plane * ${v.outHeight * v.outWidth};
  var total = 0.0;${span('y', v.padTop, extentY, v.strideY, v.outHeight)}${span('x', v.padLeft, extentX, v.strideX, v.outWidth)}
  for (var oy = from_y; oy <= to_y; oy++) {
    for (var ox = from_x; ox <= to_x; ox++) {
      ${dilated ? `if (${onTap}) { ${body} }` : body}
    }
  }
  result[index] = total;`;
};

export function maxPool(backend: Backend, y: readonly number[], v: FlatWindow): Runner {
  return kernel(backend, {
    label: 'MaxPool',
    output: { dtype: 'float32', dims: y },
    inputCount: 1,
    body: `${locate(v)}
  var best = -3.4028234e38;${walk(v, 'best = select(best, max(best, x0[at]), inside);')}
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
  var winner = -1;${walk(
    v,
    'winner = select(winner, at, inside & ((winner < 0) | (x0[at] > x0[max(winner, 0)])));',
  )}
  result[index] = winner;`,
  });
}

/** dx from inputs (dy, x). */
export function maxPoolGrad(backend: Backend, x: readonly number[], v: FlatWindow): Runner {
  // This pixel won unless one is larger, or as large and earlier.
  const search = walk(
    v,
    'beaten = beaten | (inside & ((x1[at] > own) | ((x1[at] == own) & (at < index))));',
  );
  return kernel(backend, {
    label: 'MaxPoolGrad',
    output: { dtype: 'float32', dims: x },
    inputCount: 2,
    body: `  let own = x1[index];
${covering(
  v,
  `var beaten = false;${search}
      total += select(x0[gradient + oy * ${v.outWidth} + ox], 0.0, beaten);`,
)}`,
  });
}

/** WGSL: how many input elements the window at (`oy`, `ox`) averages. Counted padding is the whole window. */
function divisor(v: FlatWindow, includePad: boolean): string {
  if (includePad)
    return `fn share(oy: i32, ox: i32) -> f32 { return f32(${v.kernelHeight * v.kernelWidth}); }`;
  return `fn share(oy: i32, ox: i32) -> f32 {
  let image = 0;
  var count = 0;${walk(v, 'count += select(0, 1, inside);')}
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
  var total = 0.0;${walk(v, 'total += select(0.0, x0[at], inside);')}
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
