/**
 * Operators that move elements without computing: most are one strided copy, or no work at all.
 */
import { sizeOf } from '../../core/dtype';
import { intAttribute } from '../attributes';
import { normalizeAxis, stridesOf } from '../shapes';
import { addressOf, broadcastStrides, kernel } from '../lowering/kernel';
import {
  alias,
  constantInts,
  given,
  inputType,
  optionalInts,
  outputType,
  requireInts,
  tfjsKernel,
} from '../lowering/tfjs';
import type { Lowering, LoweringContext, LoweringTable, StaticType } from '../lowering/tfjs';

/** The element `index` of the output is the input's element at the strided address. */
function stridedCopy(
  context: LoweringContext,
  output: StaticType,
  strides: readonly number[],
  start?: number,
) {
  const address = addressOf(output.dims, strides);
  return kernel(context.backend, {
    label: context.node.op,
    output,
    inputCount: 1,
    body: `  result[index] = x0[${start === undefined ? address : `uniforms.start + ${address}`}];`,
    ...(start === undefined ? {} : { start }),
  });
}

/** Reshape, Flatten, Squeeze, Unsqueeze: the same bytes under another shape. */
const reshape: Lowering = (context) => {
  const { dims } = outputType(context);
  return (inputs) => [alias(context.backend, given(inputs[0]), dims)];
};

const transpose: Lowering = (context) => {
  const { dims } = inputType(context, 0);
  const perm = optionalInts(context.node, 'perm') ?? dims.map((_, axis) => dims.length - 1 - axis);
  const strides = stridesOf(dims);
  const run = stridedCopy(
    context,
    outputType(context),
    perm.map((axis) => strides[axis] ?? 0),
  );
  return (inputs) => [run([given(inputs[0])])];
};

const expand: Lowering = (context) => {
  const output = outputType(context);
  const run = stridedCopy(
    context,
    output,
    broadcastStrides(inputType(context, 0).dims, output.dims),
  );
  return (inputs) => [run([given(inputs[0])])];
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
  const run = stridedCopy(context, outputType(context), strides, offset);
  return (inputs) => [run([given(inputs[0])])];
};

const split: Lowering = (context) => {
  const { dims } = inputType(context, 0);
  const axis = normalizeAxis(context.node, intAttribute(context.node, 'axis', 0), dims.length);
  const strides = stridesOf(dims);
  let start = 0;
  const runs = context.node.outputs.map((_, index) => {
    const output = outputType(context, index);
    const run = stridedCopy(context, output, strides, start * (strides[axis] ?? 0));
    start += output.dims[axis] ?? 0;
    return run;
  });
  return (inputs) => runs.map((run) => run([given(inputs[0])]));
};

const concat: Lowering = (context) => {
  const axis = normalizeAxis(
    context.node,
    intAttribute(context.node, 'axis', 0),
    outputType(context).dims.length,
  );
  const output = outputType(context);
  return (inputs) => {
    const parts = inputs.map(given).filter(({ shape }) => sizeOf(shape) > 0);
    const [only] = parts;
    // tfjs refuses empty parts, and lists of none.
    if (only && parts.length === 1) return [alias(context.backend, only, output.dims)];
    if (!only) return [alias(context.backend, given(inputs[0]), output.dims)];
    return [tfjsKernel(context.backend, 'Concat', parts, { axis })];
  };
};

const tile: Lowering = (context) => {
  const { dims } = inputType(context, 0);
  const output = outputType(context);
  const own = stridesOf(dims);
  const outer = stridesOf(output.dims);
  const terms = dims.map(
    (dim, axis) => `((index / ${outer[axis]}) % ${output.dims[axis]} % ${dim}) * ${own[axis]}`,
  );
  const run = kernel(context.backend, {
    label: 'Tile',
    output,
    inputCount: 1,
    body: `  result[index] = x0[${terms.length === 0 ? '0' : terms.join(' + ')}];`,
  });
  return (inputs) => [run([given(inputs[0])])];
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
