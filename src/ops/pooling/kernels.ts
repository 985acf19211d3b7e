/**
 * Max and average pooling with their gradients, NCHW, over one to three axes. A tie in a max window goes to its first
 * element, forward and backward; the gradient gathers (every input pixel looks at the windows over it), so nothing
 * is added atomically.
 */
import { sizeOf } from '../../core/dtype';
import { columnMajorSteps } from '../MaxPool/reference';
import { f32 } from '../lowering/address';
import { only } from '../lowering/context';
import type { DeviceTensor, PlanBuilder, StaticType } from '../lowering/plan';
import { addressIn, coordinates, everyTap, reachesOut } from '../lowering/window';
import type { DeviceAxis, DeviceWindow } from '../lowering/window';

/** Windows of more taps are walked by a loop instead of being written out. */
const LONG_WINDOW = 64;

/** Sets `o…` and `image` (the input plane) from the number of an output pixel. */
const locate = (v: DeviceWindow): string => `${coordinates(v.axes, 'o', 'index')}
  let image = index / ${v.positions} * ${v.pixels};`;

/**
 * Does `body` for each pixel of the window at `o…`. `at` is the input's element, `inside` whether it lies in the
 * picture (else `at` is some other element, to be ignored). No branches: an emulated GPU (SwiftShader, Chromium
 * 156) never came back from short-circuits under a loop whose lanes part.
 */
const walk = ({ axes, taps, pixels }: DeviceWindow, body: string): string => {
  const padded = reachesOut(axes);
  const step = (places: readonly string[]): string => {
    const lines = axes.map(
      ({ name, stride, before, dilation }, at) =>
        `    let i${name} = o${name} * ${stride} + (${places[at]}) * ${dilation} - (${before});`,
    );
    const address = axes.map(({ name, input, inputStep }) =>
      padded ? `clamp(i${name}, 0, ${input - 1}) * ${inputStep}` : `i${name} * ${inputStep}`,
    );
    const inside = axes.map(({ name, input }) => `(i${name} >= 0) & (i${name} < ${input})`);
    return `${lines.join('\n')}
    let at = image + ${address.join(' + ')};
    let inside = ${padded ? inside.join(' & ') : 'true'};
    ${body}`;
  };
  if (taps <= LONG_WINDOW) {
    const blocks = everyTap(axes).map((tap) => `  {\n${step(tap.map(String))}\n  }`);
    return `\n${blocks.join('\n')}`;
  }
  let below = 1;
  const places = axes.toReversed().map(({ kernel: size }) => {
    const place = `(k / ${below}) % ${size}`;
    below *= size;
    return place;
  });
  // A global pool: one window that is the picture.
  if (taps === pixels && !padded && axes.every(({ output }) => output === 1)) {
    return `\n  for (var k = 0; k < ${taps}; k++) {
    let at = image + k;
    let inside = true;
    ${body}
  }`;
  }
  return `\n  for (var k = 0; k < ${taps}; k++) {\n${step(places.toReversed())}\n  }`;
};

/** WGSL: first and last window along one axis that may cover pixel `i…` (dilated windows have holes in between). */
const span = ({ name, before, kernel: size, dilation, stride, output }: DeviceAxis) => `
  let reach_${name} = i${name} + ${before};
  let from_${name} = max(0, (reach_${name} - ${(size - 1) * dilation + 1 - stride}) / ${stride});
  let to_${name} = min(${output - 1}, reach_${name} / ${stride});`;

/** Whether no two windows share a pixel: each is read once. */
const apart = ({ axes }: DeviceWindow): boolean =>
  axes.every(({ kernel, stride, dilation }) => (kernel - 1) * dilation < stride);

/** Whether the windows lie side by side and leave out no pixel. */
const tiles = ({ axes }: DeviceWindow): boolean =>
  axes.every(
    ({ kernel, stride, dilation, before, input, output }) =>
      kernel === stride && dilation === 1 && before === 0 && input === output * kernel,
  );

/** Walks the windows that cover input pixel `index`: sets `image`, `gradient` (dy's element), and `o…`. */
const covering = ({ axes, pixels, positions }: DeviceWindow, body: string): string => {
  const dilated = axes.filter(({ dilation }) => dilation > 1);
  const onTap = dilated
    .map(
      ({ name, stride, dilation }) => `((reach_${name} - o${name} * ${stride}) % ${dilation} == 0)`,
    )
    .join(' & ');
  const loops = axes.map(
    ({ name }) => `for (var o${name} = from_${name}; o${name} <= to_${name}; o${name}++) {`,
  );
  return `${coordinates(axes, 'i', 'index')}
  let plane = index / ${pixels};
  let image = plane * ${pixels};
  var total = 0.0;${axes.map(span).join('')}
  ${loops.join('\n  ')}
      let gradient = plane * ${positions} + ${addressIn(axes, 'o', 'o')};
      ${dilated.length > 0 ? `if (${onTap}) { ${body} }` : body}
  ${'}'.repeat(axes.length)}
  y0(index, total);`;
};

/** y from x; float32, or int32 where the picture is of integers. */
export function maxPool(
  plan: PlanBuilder,
  x: DeviceTensor,
  y: StaticType,
  v: DeviceWindow,
): DeviceTensor {
  const lowest = x.dtype === 'float32' ? '-3.4028234e38' : '-2147483647 - 1';
  return only(
    plan.kernel({
      label: 'MaxPool',
      inputs: [x],
      outputs: [y],
      ...(apart(v) && { streams: [0] }),
      body: `${locate(v)}
  var best = ${lowest};${walk(v, 'best = select(best, max(best, x0(at)), inside);')}
  y0(index, best);`,
    }),
  );
}

/** Number of the winning input element over the whole input, rows or (`byColumns`) columns first: ONNX's output 1. */
export function maxPoolIndices(
  plan: PlanBuilder,
  x: DeviceTensor,
  y: readonly number[],
  v: DeviceWindow,
  byColumns: boolean,
): DeviceTensor {
  const steps = columnMajorSteps(v.axes.map(({ input }) => input));
  const moved = v.axes.map(({ name }, axis) => `i${name} * ${steps[axis] ?? 1}`).join(' + ');
  return only(
    plan.kernel({
      label: 'MaxPool indices',
      inputs: [x],
      outputs: [{ dtype: 'int64', dims: y }],
      body: `${locate(v)}
  var winner = -1;${walk(
    v,
    'winner = select(winner, at, inside & ((winner < 0) | (x0(at) > x0(max(winner, 0)))));',
  )}
${byColumns ? coordinates(v.axes, 'i', 'winner') : ''}
  y0(index, ${byColumns ? `winner / ${v.pixels} * ${v.pixels} + ${moved}` : 'winner'});`,
    }),
  );
}

/** dx from (dy, x). */
export function maxPoolGrad(
  plan: PlanBuilder,
  dy: DeviceTensor,
  x: DeviceTensor,
  v: DeviceWindow,
): DeviceTensor {
  const shared = {
    label: 'MaxPoolGrad',
    inputs: [dy, x],
    outputs: [{ dtype: 'float32', dims: x.dims }],
  } as const;
  if (tiles(v)) {
    // One thread a window, which finds its winner and writes all its pixels.
    return only(
      plan.kernel({
        ...shared,
        items: sizeOf(dy.dims),
        streams: [0, 1],
        body: `${locate(v)}
  var winner = -1;
  var best = 0.0;${walk(
    v,
    `let own = x1(at);
    let wins = (winner < 0) | (own > best);
    winner = select(winner, at, wins);
    best = select(best, own, wins);`,
  )}
  let gradient = x0(index);${walk(v, 'y0(at, select(0.0, gradient, at == winner));')}`,
      }),
    );
  }
  // This pixel won unless one is larger, or as large and earlier.
  const search = walk(
    v,
    'beaten = beaten | (inside & ((x1(at) > own) | ((x1(at) == own) & (at < index))));',
  );
  return only(
    plan.kernel({
      ...shared,
      body: `  let own = x1(index);
${covering(
  v,
  `var beaten = false;${search}
      total += select(x0(gradient), 0.0, beaten);`,
)}`,
    }),
  );
}

/** WGSL: how many elements the window at `o…` averages. Counted padding is all but what reaches over it. */
function divisor({ axes }: DeviceWindow, includePad: boolean): string {
  const counts = axes.map(({ name, stride, dilation, kernel: size, input, before, after }) => {
    const shift = includePad ? 0 : before;
    const length = includePad ? input + before + after : input;
    return `  let start_${name} = o${name} * ${stride} - (${shift});
  let low_${name} = max(0, (${dilation - 1} - start_${name}) / ${dilation});
  let room_${name} = ${length - 1} - start_${name};
  let high_${name} = select(min(${size - 1}, room_${name} / ${dilation}), -1, room_${name} < 0);
  count *= max(0, high_${name} - low_${name} + 1);`;
  });
  const parameters = axes.map(({ name }) => `o${name}: i32`).join(', ');
  return `fn share(${parameters}) -> f32 {
  var count = 1;
${counts.join('\n')}
  return f32(max(count, 1));
}`;
}

const shareHere = ({ axes }: DeviceWindow): string =>
  `share(${axes.map(({ name }) => `o${name}`).join(', ')})`;

export function averagePool(
  plan: PlanBuilder,
  x: DeviceTensor,
  y: StaticType,
  v: DeviceWindow,
  includePad: boolean,
): DeviceTensor {
  return only(
    plan.kernel({
      label: 'AveragePool',
      inputs: [x],
      outputs: [y],
      declarations: divisor(v, includePad),
      ...(apart(v) && { streams: [0] }),
      body: `${locate(v)}
  var total = 0.0;${walk(v, 'total += select(0.0, x0(at), inside);')}
  y0(index, total / ${shareHere(v)});`,
    }),
  );
}

/** dx from dy alone. */
export function averagePoolGrad(
  plan: PlanBuilder,
  dy: DeviceTensor,
  x: StaticType,
  v: DeviceWindow,
  includePad: boolean,
): DeviceTensor {
  const shared = { label: 'AveragePoolGrad', inputs: [dy] };
  if (tiles(v)) {
    const window = v.axes.map(
      ({ name, kernel, outputStep }) => `i${name} / ${kernel} * ${outputStep}`,
    );
    return plan.pointwise({
      ...shared,
      output: x,
      lets: coordinates(v.axes, 'i', 'index'),
      value: `x0(index / ${v.pixels} * ${v.positions} + ${window.join(' + ')}) / ${f32(v.taps)}`,
    });
  }
  return only(
    plan.kernel({
      ...shared,
      outputs: [x],
      declarations: divisor(v, includePad),
      body: covering(v, `total += x0(gradient) / ${shareHere(v)};`),
    }),
  );
}
