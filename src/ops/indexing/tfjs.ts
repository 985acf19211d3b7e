/**
 * Reading and writing by index on the graphics processor. Every kernel is written from the output's side: an element
 * looks up what belongs to it, in the order of the updates. So sums have one order and nothing is written twice,
 * where atomic additions would give other last digits at every run.
 */
import { sizeOf } from '../../core/dtype';
import { intAttribute, stringAttribute, unsupported } from '../attributes';
import { addressOf, kernel } from '../lowering/kernel';
import { alias, given, inputType, outputType } from '../lowering/tfjs';
import type { Lowering, LoweringContext, LoweringTable } from '../lowering/tfjs';
import { normalizeAxis, stridesOf } from '../shapes';

const axisOf = (context: LoweringContext, rank: number, fallback = 0) =>
  normalizeAxis(context.node, intAttribute(context.node, 'axis', fallback), rank);

/** WGSL: a negative index counts from the end. */
const wrapped = (index: string, length: number) =>
  `select(${index}, ${index} + ${length}, ${index} < 0)`;

const gather: Lowering = (context) => {
  const { dims } = inputType(context, 0);
  const axis = axisOf(context, dims.length);
  const length = dims[axis] ?? 1;
  const inner = sizeOf(dims.slice(axis + 1));
  const picks = sizeOf(inputType(context, 1).dims);
  const run = kernel(context.backend, {
    label: 'Gather',
    output: outputType(context),
    inputCount: 2,
    body: `  let inner = index % ${inner};
  let pick = x1[(index / ${inner}) % ${picks}];
  let row = index / ${inner * picks} * ${length} + ${wrapped('pick', length)};
  result[index] = x0[row * ${inner} + inner];`,
  });
  return (inputs) => [run([given(inputs[0]), given(inputs[1])])];
};

/** Inputs indices, depth, values [off, on]. */
const oneHot: Lowering = (context) => {
  const output = outputType(context);
  const axis = axisOf(context, output.dims.length, -1);
  const depth = output.dims[axis] ?? 1;
  const inner = sizeOf(output.dims.slice(axis + 1));
  const run = kernel(context.backend, {
    label: 'OneHot',
    output,
    inputCount: 2,
    body: `  let column = (index / ${inner}) % ${depth};
  let hot = i32(x0[index / ${inner * depth} * ${inner} + index % ${inner}]);
  result[index] = select(x1[0], x1[1], ${wrapped('hot', depth)} == column);`,
  });
  return (inputs) => [run([given(inputs[0]), given(inputs[2])])];
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
  const run = kernel(context.backend, {
    label: 'GatherElements',
    output,
    inputCount: 2,
    body: `  let pick = x1[index];
  result[index] = x0[${base} + ${wrapped('pick', dims[axis] ?? 1)} * ${step}];`,
  });
  return (inputs) => [run([given(inputs[0]), given(inputs[1])])];
};

/** WGSL: how many slices stand before the one that tuple `n` of the indices in `array` points at. */
function sliceNumber(array: string, dims: readonly number[], n: string): string {
  const strides = stridesOf(dims);
  const terms = dims.map((length, at) => {
    const index = `${array}[${n} * ${dims.length} + ${at}]`;
    return `${wrapped(index, length)} * ${strides[at]}`;
  });
  return terms.length === 0 ? '0' : terms.join(' + ');
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
  const run = kernel(context.backend, {
    label: 'GatherND',
    output: outputType(context),
    inputCount: 2,
    body: `  let n = index / ${inner};
  let row = n / ${each} * ${sizeOf(addressed)} + ${sliceNumber('x1', addressed, 'n')};
  result[index] = x0[row * ${inner} + index % ${inner}];`,
  });
  return (inputs) => [run([given(inputs[0]), given(inputs[1])])];
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
  if (sizeOf(updates) === 0) return (inputs) => [alias(context.backend, given(inputs[0]), dims)];
  const axis = axisOf(context, dims.length);
  const own = stridesOf(dims);
  const strides = stridesOf(updates);
  const coordinate = (at: number) => `((index / ${own[at]}) % ${dims[at]})`;
  // The indices may be shorter than the data along the other axes: what is beyond them stays.
  const limits = dims.flatMap((dim, at) =>
    at !== axis && (updates[at] ?? 1) < dim ? [`${coordinate(at)} < ${updates[at]}`] : [],
  );
  const base = addressOf(
    dims,
    strides.map((stride, at) => (at === axis ? 0 : stride)),
  );
  const loop = `  let place = ${coordinate(axis)};
    for (var j = 0; j < ${updates[axis]}; j = j + 1) {
      let at = ${base} + j * ${strides[axis]};
      let pick = x1[at];
      if (${wrapped('pick', dims[axis] ?? 1)} == place) {
        let update = x2[at];
        value = ${combine};
      }
    }`;
  const run = kernel(context.backend, {
    label: 'ScatterElements',
    output,
    inputCount: 3,
    body: `  var value = x0[index];
  if (${limits.length === 0 ? 'true' : limits.join(' && ')}) {
  ${loop}
  }
  result[index] = value;`,
  });
  return (inputs) => [run([0, 1, 2].map((index) => given(inputs[index])))];
};

/**
 * The updates of one slice form a chain in their order: `head` says which is the slice's first, `next` which
 * follows. An element then walks the chain of its slice.
 */
const scatterNd: Lowering = (context) => {
  const { backend } = context;
  const output = outputType(context);
  const { dims } = output;
  const indices = inputType(context, 1).dims;
  const combine = combination(context);
  const width = indices.at(-1) ?? 0;
  const count = sizeOf(indices.slice(0, -1));
  if (count === 0) return (inputs) => [alias(backend, given(inputs[0]), dims)];
  const addressed = dims.slice(0, width);
  const inner = sizeOf(dims.slice(width));
  const integers = (length: number) => ({ dtype: 'int32', dims: [length] }) as const;
  const slices = kernel(backend, {
    label: 'ScatterND slices',
    output: integers(count),
    inputCount: 1,
    body: `  result[index] = ${sliceNumber('x0', addressed, 'index')};`,
  });
  const first = (from: string, wanted: string) => `  let wanted = ${wanted};
  var found = -1;
  for (var n = ${from}; n < ${count}; n = n + 1) {
    if (x0[n] == wanted) { found = n; break; }
  }
  result[index] = found;`;
  const heads = kernel(backend, {
    label: 'ScatterND heads',
    output: integers(sizeOf(addressed)),
    inputCount: 1,
    body: first('0', 'index'),
  });
  const followers = kernel(backend, {
    label: 'ScatterND chains',
    output: integers(count),
    inputCount: 1,
    body: first('index + 1', 'x0[index]'),
  });
  const walk = kernel(backend, {
    label: 'ScatterND',
    output,
    inputCount: 4,
    body: `  var value = x0[index];
  var n = x1[index / ${inner}];
  while (n >= 0) {
    let update = x3[n * ${inner} + index % ${inner}];
    value = ${combine};
    n = x2[n];
  }
  result[index] = value;`,
  });
  return (inputs) => {
    const [data, at, updates] = [given(inputs[0]), given(inputs[1]), given(inputs[2])];
    const numbers = slices([at]);
    const head = heads([numbers]);
    const next = followers([numbers]);
    const result = walk([data, head, next, updates]);
    for (const { dataId } of [numbers, head, next]) backend.disposeData(dataId);
    return [result];
  };
};

export const INDEXING: LoweringTable = {
  Gather: gather,
  OneHot: oneHot,
  GatherElements: gatherElements,
  GatherND: gatherNd,
  ScatterElements: scatterElements,
  ScatterND: scatterNd,
};
