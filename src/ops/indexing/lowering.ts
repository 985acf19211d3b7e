/**
 * Reading and writing by index on the graphics processor. Every kernel is written from the output's side: an element
 * looks up what belongs to it, in the order of the updates. So sums have one order and nothing is written twice,
 * where atomic additions would give other last digits at every run.
 */
import { sizeOf } from '../../core/dtype';
import { intAttribute, stringAttribute, unsupported } from '../attributes';
import { addressOf } from '../lowering/address';
import { input, inputType, only, outputType } from '../lowering/context';
import type { Lowering, LoweringContext, LoweringTable } from '../lowering/plan';
import { normalizeAxis, stridesOf } from '../shapes';

const axisOf = (context: LoweringContext, rank: number, fallback = 0) =>
  normalizeAxis(context.node, intAttribute(context.node, 'axis', fallback), rank);

const inputs = (context: LoweringContext, ...ports: number[]) =>
  ports.map((port) => input(context, port));

/** WGSL: a negative index counts from the end. */
const wrapped = (index: string, length: number) =>
  `select(${index}, ${index} + ${length}, ${index} < 0)`;

const gather: Lowering = (context) => {
  const { dims } = inputType(context, 0);
  const axis = axisOf(context, dims.length);
  const length = dims[axis] ?? 1;
  const inner = sizeOf(dims.slice(axis + 1));
  const picks = sizeOf(inputType(context, 1).dims);
  const y = context.plan.pointwise({
    label: 'Gather',
    inputs: inputs(context, 0, 1),
    output: outputType(context),
    lets: `let pick = x1((index / ${inner}) % ${picks});
let row = index / ${inner * picks} * ${length} + ${wrapped('pick', length)};`,
    value: `x0(row * ${inner} + index % ${inner})`,
  });
  return [y];
};

/** Inputs indices, depth, values [off, on]. */
const oneHot: Lowering = (context) => {
  const output = outputType(context);
  const axis = axisOf(context, output.dims.length, -1);
  const depth = output.dims[axis] ?? 1;
  const inner = sizeOf(output.dims.slice(axis + 1));
  const y = context.plan.pointwise({
    label: 'OneHot',
    inputs: inputs(context, 0, 2),
    output,
    lets: `let hot = i32(x0(index / ${inner * depth} * ${inner} + index % ${inner}));
let here = ${wrapped('hot', depth)} == (index / ${inner}) % ${depth};`,
    value: 'x1(select(0, 1, here))',
  });
  return [y];
};

const gatherElements: Lowering = (context) => {
  const { dims } = inputType(context, 0);
  const output = outputType(context);
  const axis = axisOf(context, dims.length);
  const strides = stridesOf(dims);
  const step = strides[axis] ?? 1;
  const base = addressOf(
    output.dims,
    strides.map((stride, at) => (at === axis ? 0 : stride)),
  );
  const y = context.plan.pointwise({
    label: 'GatherElements',
    inputs: inputs(context, 0, 1),
    output,
    lets: 'let pick = x1(index);',
    value: `x0(${base} + ${wrapped('pick', dims[axis] ?? 1)} * ${step})`,
  });
  return [y];
};

/** WGSL: `slice` is the number of slices before the one that tuple `n` of the indices points at. */
function sliceNumber(indices: string, dims: readonly number[], n: string): string {
  const strides = stridesOf(dims);
  const lines = dims.map(
    (length, at) => `let t${at} = ${indices}(${n} * ${dims.length} + ${at});
let s${at} = ${wrapped(`t${at}`, length)} * ${strides[at]};`,
  );
  const terms = dims.map((_, at) => `s${at}`);
  return `${lines.join('\n')}
let slice = ${terms.length === 0 ? '0' : terms.join(' + ')};`;
}

const gatherNd: Lowering = (context) => {
  const { dims } = inputType(context, 0);
  const indices = inputType(context, 1).dims;
  const batchDims = intAttribute(context.node, 'batch_dims', 0);
  const width = indices.at(-1) ?? 0;
  const addressed = dims.slice(batchDims, batchDims + width);
  const inner = sizeOf(dims.slice(batchDims + width));
  const batches = sizeOf(dims.slice(0, batchDims));
  const each = Math.max(1, sizeOf(indices.slice(0, -1)) / Math.max(1, batches));
  const y = context.plan.pointwise({
    label: 'GatherND',
    inputs: inputs(context, 0, 1),
    output: outputType(context),
    lets: `let n = index / ${inner};
${sliceNumber('x1', addressed, 'n')}
let row = n / ${each} * ${sizeOf(addressed)} + slice;`,
    value: `x0(row * ${inner} + index % ${inner})`,
  });
  return [y];
};

const COMBINE: Readonly<Record<string, string>> = {
  none: 'update',
  add: 'value + update',
  mul: 'value * update',
  max: 'max(value, update)',
  min: 'min(value, update)',
};

function combination({ node }: LoweringContext): string {
  const reduction = stringAttribute(node, 'reduction', 'none');
  const code = COMBINE[reduction];
  if (code === undefined) throw unsupported(node, `scatters with the reduction "${reduction}"`);
  return code;
}

/** Each element asks the updates of its own line along the axis. */
const scatterElements: Lowering = (context) => {
  const output = outputType(context);
  const { dims } = output;
  const updates = inputType(context, 1).dims;
  const combine = combination(context);
  if (sizeOf(updates) === 0) return [input(context, 0)];
  const axis = axisOf(context, dims.length);
  const own = stridesOf(dims);
  const strides = stridesOf(updates);
  const coordinate = (at: number) => `((index / ${own[at]}) % ${dims[at]})`;
  // The indices may be shorter than the data along the other axes: what is beyond them stays.
  const limits = dims.flatMap((dim, at) =>
    at !== axis && (updates[at] ?? 1) < dim ? [`(${coordinate(at)} < ${updates[at]})`] : [],
  );
  const base = addressOf(
    dims,
    strides.map((stride, at) => (at === axis ? 0 : stride)),
  );
  return context.plan.kernel({
    label: 'ScatterElements',
    inputs: inputs(context, 0, 1, 2),
    outputs: [output],
    streams: [0],
    body: `  var value = x0(index);
  if (${limits.length === 0 ? 'true' : limits.join(' & ')}) {
    let place = ${coordinate(axis)};
    for (var j = 0; j < ${updates[axis]}; j++) {
      let at = ${base} + j * ${strides[axis]};
      let pick = x1(at);
      if (${wrapped('pick', dims[axis] ?? 1)} == place) {
        let update = x2(at);
        value = ${combine};
      }
    }
  }
  y0(index, value);`,
  });
};

/**
 * The updates of one slice form a chain in their order: `heads` says which is the slice's first, `chains` which
 * follows. An element then walks the chain of its slice.
 */
const scatterNd: Lowering = (context) => {
  const { plan } = context;
  const output = outputType(context);
  const { dims } = output;
  const indices = inputType(context, 1).dims;
  const combine = combination(context);
  const width = indices.at(-1) ?? 0;
  const count = sizeOf(indices.slice(0, -1));
  if (count === 0) return [input(context, 0)];
  const addressed = dims.slice(0, width);
  const inner = sizeOf(dims.slice(width));
  const integers = (length: number) => ({ dtype: 'int32', dims: [length] }) as const;
  const numbers = plan.pointwise({
    label: 'ScatterND slices',
    inputs: inputs(context, 1),
    output: integers(count),
    lets: sliceNumber('x0', addressed, 'index'),
    value: 'slice',
  });
  const first = (label: string, length: number, from: string, wanted: string) =>
    only(
      plan.kernel({
        label: `ScatterND ${label}`,
        inputs: [numbers],
        outputs: [integers(length)],
        body: `  let wanted = ${wanted};
  var found = -1;
  for (var n = ${from}; n < ${count}; n++) {
    if (x0(n) == wanted) { found = n; break; }
  }
  y0(index, found);`,
      }),
    );
  const heads = first('heads', sizeOf(addressed), '0', 'index');
  const chains = first('chains', count, 'index + 1', 'x0(index)');
  return plan.kernel({
    label: 'ScatterND',
    inputs: [input(context, 0), heads, chains, input(context, 2)],
    outputs: [output],
    streams: [0],
    body: `  var value = x0(index);
  var n = x1(index / ${inner});
  while (n >= 0) {
    let update = x3(n * ${inner} + index % ${inner});
    value = ${combine};
    n = x2(n);
  }
  y0(index, value);`,
  });
};

export const INDEXING: LoweringTable = {
  Gather: gather,
  OneHot: oneHot,
  GatherElements: gatherElements,
  GatherND: gatherNd,
  ScatterElements: scatterElements,
  ScatterND: scatterNd,
};
