/**
 * Operators that move elements without computing: most are one strided read, or no work at all.
 */
import { sizeOf } from '../../core/dtype';
import { intAttribute } from '../attributes';
import { addressOf, broadcastStrides } from '../lowering/address';
import {
  constantInts,
  input,
  inputType,
  optionalInts,
  outputType,
  requireInts,
  wgslType,
} from '../lowering/context';
import type {
  DeviceTensor,
  Lowering,
  LoweringContext,
  LoweringTable,
  StaticType,
} from '../lowering/plan';
import { normalizeAxis, stridesOf } from '../shapes';

/** The view `dims` of input 0 with these strides, as the output. */
function strided(
  context: LoweringContext,
  output: StaticType,
  dims: readonly number[],
  strides: readonly number[],
  offset = 0,
): DeviceTensor {
  const { plan, node } = context;
  const x = input(context, 0);
  const address = addressOf(dims, strides, 'index', offset);
  const size = sizeOf(output.dims);
  if (sizeOf(x.dims) === size && (address === 'index' || size <= 1)) {
    return plan.reshape(x, output.dims);
  }
  return plan.pointwise({ label: node.op, inputs: [x], output, value: `x0(${address})` });
}

/** Reshape, Flatten, Squeeze, Unsqueeze: the same elements under another shape. */
const reshape: Lowering = (context) => [
  context.plan.reshape(input(context, 0), outputType(context).dims),
];

const transpose: Lowering = (context) => {
  const { dims } = inputType(context, 0);
  const output = outputType(context);
  const perm = optionalInts(context.node, 'perm') ?? dims.map((_, axis) => dims.length - 1 - axis);
  const strides = stridesOf(dims);
  const moved = perm.map((axis) => strides[axis] ?? 0);
  return [strided(context, output, output.dims, moved)];
};

const expand: Lowering = (context) => {
  const output = outputType(context);
  const strides = broadcastStrides(inputType(context, 0).dims, output.dims);
  return [strided(context, output, output.dims, strides)];
};

const slice: Lowering = (context) => {
  const { dims } = inputType(context, 0);
  const starts = requireInts(context, 1);
  const axes = constantInts(context, 3) ?? starts.map((_, index) => index);
  const steps = constantInts(context, 4) ?? starts.map(() => 1);
  const strides = stridesOf(dims);
  let offset = 0;
  starts.forEach((start, index) => {
    const axis = normalizeAxis(context.node, axes[index] ?? 0, dims.length);
    const length = dims[axis] ?? 0;
    const step = steps[index] ?? 1;
    const stride = strides[axis] ?? 0;
    const from = start < 0 ? start + length : start;
    // The end decides only the length, which shape inference already knows.
    offset += Math.min(Math.max(from, 0), step < 0 ? length - 1 : length) * stride;
    strides[axis] = stride * step;
  });
  const output = outputType(context);
  return [strided(context, output, output.dims, strides, offset)];
};

const split: Lowering = (context) => {
  const { node } = context;
  const { dims } = inputType(context, 0);
  const axis = normalizeAxis(node, intAttribute(node, 'axis', 0), dims.length);
  const strides = stridesOf(dims);
  let start = 0;
  return node.outputs.map((_, index) => {
    const output = outputType(context, index);
    const part = strided(context, output, output.dims, strides, start * (strides[axis] ?? 0));
    start += output.dims[axis] ?? 0;
    return part;
  });
};

const tile: Lowering = (context) => {
  const { dims } = inputType(context, 0);
  const output = outputType(context);
  const strides = stridesOf(dims);
  // Each axis as two: how often, where nothing moves, and the axis itself.
  const view = dims.flatMap((dim, axis) => [dim === 0 ? 0 : (output.dims[axis] ?? 0) / dim, dim]);
  const steps = strides.flatMap((stride) => [0, stride]);
  return [strided(context, output, view, steps)];
};

/** A part is found by halving, so that many parts are no long chain of questions. */
const concat: Lowering = (context) => {
  const { node, plan } = context;
  const output = outputType(context);
  const axis = normalizeAxis(node, intAttribute(node, 'axis', 0), output.dims.length);
  const inner = sizeOf(output.dims.slice(axis + 1));
  const parts = node.inputs
    .map((_, at) => input(context, at))
    .filter(({ dims }) => sizeOf(dims) > 0);
  const [first = input(context, 0)] = parts;
  if (parts.length <= 1) return [plan.reshape(first, output.dims)];
  const lengths = parts.map(({ dims }) => (dims[axis] ?? 0) * inner);
  const starts: number[] = [];
  const whole = lengths.reduce((start, length) => {
    starts.push(start);
    return start + length;
  }, 0);
  const read = (from: number, to: number): string => {
    if (to - from === 1) {
      const start = starts[from] ?? 0;
      const row = sizeOf(output.dims.slice(0, axis)) === 1 ? '' : `row * ${lengths[from]} + `;
      return `value = x${from}(${row}place${start === 0 ? '' : ` - ${start}`});`;
    }
    const middle = (from + to) >> 1;
    return `if (place < ${starts[middle]}) { ${read(from, middle)} } else { ${read(middle, to)} }`;
  };
  const y = plan.pointwise({
    label: 'Concat',
    inputs: parts,
    output,
    lets: `let row = index / ${whole};
let place = index % ${whole};
var value: ${wgslType(output.dtype)};
${read(0, parts.length)}`,
    value: 'value',
  });
  return [y];
};

export const MOVEMENT: LoweringTable = {
  Reshape: reshape,
  Flatten: reshape,
  Squeeze: reshape,
  Unsqueeze: reshape,
  Transpose: transpose,
  Expand: expand,
  Slice: slice,
  Split: split,
  Concat: concat,
  Tile: tile,
};
