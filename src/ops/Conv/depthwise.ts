/**
 * Depthwise convolution in two dimensions and its gradients: one filter a channel, so there is no product to
 * share and all that counts is how often a pixel is loaded. Taps are written out; a thread computes a few
 * neighbouring pixels of a row from one set of loads. implicit.ts serves every other grouping.
 */
import { only } from '../lowering/context';
import type { DeviceTensor, PlanBuilder } from '../lowering/plan';
import type { DeviceAxis } from '../lowering/window';
import { reduce } from '../reductions/reduce';
import { sizesOf } from './shape';
import type { ConvShape } from './shape';

const MOST_TAPS = 49;
/** Pixels of a row that a thread computes, and how few threads are not worth it. */
const TILE = 4;
const FEW_THREADS = 16384;

export function isDepthwise({ x, w, groups, window }: ConvShape): boolean {
  const planar = window.axes.length === 2 && window.taps <= MOST_TAPS;
  return planar && groups > 1 && groups === x[1] && groups === w[0];
}

interface Filter {
  readonly label: string;
  readonly output: readonly number[]; // [N, C, rows, columns]
  readonly source: readonly [number, number]; // rows, columns
  readonly stride: readonly [number, number];
  /** Row and column of the source under tap (ky, kx) for output 0. */
  readonly offset: readonly [(ky: number) => number, (kx: number) => number];
  readonly kernel: readonly [number, number];
}

/** out[n,c,·] = Σ_k source[n,c, ·s + offset(k)] · w[c,k] . Inputs: source, w. */
function filter(plan: PlanBuilder, spec: Filter, inputs: readonly DeviceTensor[]): DeviceTensor {
  const [, channels = 1, rows = 1, columns = 1] = spec.output;
  const planes = (spec.output[0] ?? 1) * channels;
  const [high, wide] = spec.source;
  const [rowStride, columnStride] = spec.stride;
  const [down, across] = spec.kernel;
  const wideTile = planes * rows * Math.ceil(columns / TILE) >= FEW_THREADS;
  const tile = wideTile ? Math.min(TILE, columns) : 1;
  const blocks = Math.ceil(columns / tile);
  const lanes = Array.from({ length: tile }, (_, lane) => lane);
  const taps = Array.from({ length: across }, (_, kx) => kx);
  // Each column of the source is loaded once a row, whichever lanes and taps want it.
  const wanted = lanes.flatMap((l) => taps.map((kx) => l * columnStride + spec.offset[1](kx)));
  const shifts = [...new Set(wanted)].sort((a, b) => a - b);
  const nameOf = (shift: number) => `c${shifts.indexOf(shift)}`;
  const places = shifts.map(
    (shift) => `  let ${nameOf(shift)} = px * ${tile * columnStride} + (${shift});
  let ${nameOf(shift)}_in = (${nameOf(shift)} >= 0) & (${nameOf(shift)} < ${wide});
  let ${nameOf(shift)}_at = clamp(${nameOf(shift)}, 0, ${wide - 1});`,
  );
  const row = (ky: number) => `  {
    let r = py * ${rowStride} + (${spec.offset[0](ky)});
    let inside = (r >= 0) & (r < ${high});
    let line = plane * ${high * wide} + clamp(r, 0, ${high - 1}) * ${wide};
${shifts
  .map(
    (s) =>
      `    let v_${nameOf(s)} = select(0.0, x0(line + ${nameOf(s)}_at), inside & ${nameOf(s)}_in);`,
  )
  .join('\n')}
${taps
  .map((kx) => {
    const adds = lanes.map((l) => {
      const source = nameOf(l * columnStride + spec.offset[1](kx));
      return `t${l} += v_${source} * w${kx};`;
    });
    return `    let w${kx} = x1(weights + ${ky * across + kx});\n    ${adds.join(' ')}`;
  })
  .join('\n')}
  }`;
  const guard = (l: number) =>
    columns % tile === 0 ? '' : `if (px * ${tile} + ${l} < ${columns}) `;
  return only(
    plan.kernel({
      label: spec.label,
      outputs: [{ dtype: 'float32', dims: spec.output }],
      inputs,
      items: planes * rows * blocks,
      body: `  let px = index % ${blocks};
  let py = (index / ${blocks}) % ${rows};
  let plane = index / ${blocks * rows};
  let c = plane % ${channels};
  let weights = c * ${down * across};
${places.join('\n')}
  ${lanes.map((l) => `var t${l} = 0.0;`).join('\n  ')}
${Array.from({ length: down }, (_, ky) => row(ky)).join('\n')}
  let place = (plane * ${rows} + py) * ${columns} + px * ${tile};
${lanes.map((l) => `  ${guard(l)}{ y0(place + ${l}, t${l}); }`).join('\n')}`,
    }),
  );
}

function axesOf(shape: ConvShape): readonly [DeviceAxis, DeviceAxis] {
  return shape.window.axes as [DeviceAxis, DeviceAxis];
}

export function depthwiseForward(
  plan: PlanBuilder,
  shape: ConvShape,
  inputs: readonly DeviceTensor[],
): DeviceTensor {
  const [y, x] = axesOf(shape);
  return filter(
    plan,
    {
      label: 'Conv depthwise',
      output: shape.y,
      source: [y.input, x.input],
      stride: [y.stride, x.stride],
      offset: [(k) => k * y.dilation - y.before, (k) => k * x.dilation - x.before],
      kernel: [y.kernel, x.kernel],
    },
    inputs,
  );
}

/** dx from inputs (dy, w). */
export function depthwiseInputGradient(
  plan: PlanBuilder,
  shape: ConvShape,
  inputs: readonly DeviceTensor[],
): DeviceTensor {
  const [y, x] = axesOf(shape);
  if (y.stride === 1 && x.stride === 1) {
    // Without strides it is the same walk over dY, in the other direction.
    return filter(
      plan,
      {
        label: 'ConvGradInput depthwise',
        output: shape.x,
        source: [y.output, x.output],
        stride: [1, 1],
        offset: [(k) => y.before - k * y.dilation, (k) => x.before - k * x.dilation],
        kernel: [y.kernel, x.kernel],
      },
      inputs,
    );
  }
  const { channels, pixels, positions, taps } = sizesOf(shape);
  const line = (axis: DeviceAxis, tap: number): string => {
    const at = `s${axis.name}${tap}`;
    return `  let ${at}_from = i${axis.name} + (${axis.before - tap * axis.dilation});
  let ${at} = clamp(${at}_from / ${axis.stride}, 0, ${axis.output - 1});
  let ${at}_in = (${at}_from >= 0) & (${at}_from == ${at} * ${axis.stride});`;
  };
  const each = (axis: DeviceAxis) => Array.from({ length: axis.kernel }, (_, tap) => tap);
  return only(
    plan.kernel({
      label: 'ConvGradInput depthwise, strided',
      outputs: [{ dtype: 'float32', dims: shape.x }],
      inputs,
      body: `  let ix = index % ${x.input};
  let iy = (index / ${x.input}) % ${y.input};
  let plane = index / ${pixels};
  let source = plane * ${positions};
  let weights = (plane % ${channels}) * ${taps};
${[y, x].flatMap((axis) => each(axis).map((tap) => line(axis, tap))).join('\n')}
  var total = 0.0;
${each(y)
  .flatMap((r) =>
    each(x).map(
      (c) =>
        `  total += select(0.0, x0(source + sy${r} * ${x.output} + sx${c}), sy${r}_in & sx${c}_in) * x1(weights + ${r * x.kernel + c});`,
    ),
  )
  .join('\n')}
  y0(index, total);`,
    }),
  );
}

/** Threads that fill a GPU. */
const MANY_THREADS = 65536;

/**
 * dw from inputs (dy, x). A thread walks some columns of one plane for all taps, neighbours beside each other;
 * then the parts of all images are added in order.
 */
export function depthwiseWeightGradient(
  plan: PlanBuilder,
  shape: ConvShape,
  inputs: readonly DeviceTensor[],
): DeviceTensor {
  const [y, x] = axesOf(shape);
  const { batch, channels, pixels, positions, taps } = sizesOf(shape);
  // More lanes than this, and the parts take more memory than dY.
  const most = Math.min(x.output, Math.floor(positions / taps));
  const lanes = Math.max(1, Math.min(most, Math.ceil(MANY_THREADS / (batch * channels))));
  const rows = Array.from({ length: y.kernel }, (_, tap) => tap);
  const across = Array.from({ length: x.kernel }, (_, tap) => tap);
  const all = Array.from({ length: taps }, (_, tap) => tap);
  const parts = only(
    plan.kernel({
      label: 'ConvGradWeight depthwise',
      outputs: [{ dtype: 'float32', dims: [batch, channels, lanes, taps] }],
      inputs,
      items: batch * channels * lanes,
      body: `  let lane = index % ${lanes};
  let plane = index / ${lanes};
  let image = plane * ${pixels};
  let gradient = plane * ${positions};
  ${all.map((tap) => `var t${tap} = 0.0;`).join('\n  ')}
  for (var ox = lane; ox < ${x.output}; ox += ${lanes}) {
${across
  .map(
    (k) => `    let c${k} = ox * ${x.stride} + (${k * x.dilation - x.before});
    let c${k}_in = (c${k} >= 0) & (c${k} < ${x.input});
    let c${k}_at = clamp(c${k}, 0, ${x.input - 1});`,
  )
  .join('\n')}
    for (var oy = 0; oy < ${y.output}; oy++) {
      let g = x0(gradient + oy * ${x.output} + ox);
${rows
  .map(
    (r) => `      {
        let r = oy * ${y.stride} + (${r * y.dilation - y.before});
        let inside = (r >= 0) & (r < ${y.input});
        let line = image + clamp(r, 0, ${y.input - 1}) * ${x.input};
${across.map((k) => `        t${r * x.kernel + k} += g * select(0.0, x1(line + c${k}_at), inside & c${k}_in);`).join('\n')}
      }`,
  )
  .join('\n')}
    }
  }
  let place = index * ${taps};
  ${all.map((tap) => `y0(place + ${tap}, t${tap});`).join('\n  ')}`,
    }),
  );
  return reduce(plan, {
    label: 'ConvGradWeight sum',
    inputs: [parts],
    dims: [batch, channels, lanes, taps],
    axes: [0, 2],
    combine: 'sum',
    element: 'x0(i)',
    output: { dtype: 'float32', dims: shape.w },
  });
}
