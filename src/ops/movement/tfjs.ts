/**
 * Operators that move elements without computing: most are one strided copy, or no work at all.
 */
import { AppError, invariant } from '../../core/errors';
import { sizeOf } from '../../core/dtype';
import { intAttribute, stringAttribute } from '../attributes';
import { normalizeAxis, stridesOf } from '../shapes';
import { addressOf, broadcastStrides, f32, kernel } from '../lowering/kernel';
import {
  alias,
  constantInts,
  given,
  hasInput,
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
  offset = 0,
) {
  return kernel(context.backend, {
    label: context.node.op,
    output,
    inputCount: 1,
    body: `  result[index] = x0[${addressOf(output.dims, strides, 'index', offset)}];`,
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
  return (inputs) => [tfjsKernel(context.backend, 'Concat', inputs.map(given), { axis })];
};

const pad: Lowering = (context) => {
  const mode = stringAttribute(context.node, 'mode', 'constant');
  if (mode !== 'constant') {
    throw new AppError('engine/unsupported', `Pad "${context.node.name}" has the mode "${mode}".`);
  }
  const { dims } = inputType(context, 0);
  const output = outputType(context);
  const pads = requireInts(context, 1);
  const axes = constantInts(context, 3) ?? dims.map((_, axis) => axis);
  const before = dims.map(() => 0);
  axes.forEach((axis, index) => {
    before[normalizeAxis(context.node, axis, dims.length)] = pads[index] ?? 0;
  });
  const value = hasInput(context, 2) ? Number(context.constant(2)?.data[0] ?? 0) : 0;
  const own = stridesOf(dims);
  const outer = stridesOf(output.dims);
  const lines = dims.map(
    (_, axis) =>
      `  let i${axis} = (index / ${outer[axis]}) % ${output.dims[axis]} - (${before[axis]});`,
  );
  const inside = dims.map((dim, axis) => `i${axis} >= 0 && i${axis} < ${dim}`).join(' && ');
  const address = dims.map((_, axis) => `i${axis} * ${own[axis]}`).join(' + ');
  const fill = output.dtype === 'float32' ? f32(value) : `${value}`;
  const run = kernel(context.backend, {
    label: 'Pad',
    output,
    inputCount: 1,
    body: `${lines.join('\n')}
  var value = ${fill};
  if (${inside === '' ? 'true' : inside}) { value = x0[${address === '' ? '0' : address}]; }
  result[index] = value;`,
  });
  return (inputs) => [run([given(inputs[0])])];
};

const gather: Lowering = (context) => {
  const { dims } = inputType(context, 0);
  const axis = normalizeAxis(context.node, intAttribute(context.node, 'axis', 0), dims.length);
  const length = dims[axis] ?? 1;
  const inner = sizeOf(dims.slice(axis + 1));
  const picks = sizeOf(inputType(context, 1).dims);
  const run = kernel(context.backend, {
    label: 'Gather',
    output: outputType(context),
    inputCount: 2,
    body: `  let inner = index % ${inner};
  var pick = x1[(index / ${inner}) % ${picks}];
  if (pick < 0) { pick = pick + ${length}; }
  result[index] = x0[(index / ${inner * picks} * ${length} + pick) * ${inner} + inner];`,
  });
  return (inputs) => [run([given(inputs[0]), given(inputs[1])])];
};

/** ONNX OneHot: inputs indices, depth, values [off, on]; a negative index counts from the end. */
const oneHot: Lowering = (context) => {
  const output = outputType(context);
  const axis = normalizeAxis(
    context.node,
    intAttribute(context.node, 'axis', -1),
    output.dims.length,
  );
  const depth = output.dims[axis] ?? 1;
  const inner = sizeOf(output.dims.slice(axis + 1));
  invariant(context.node.inputs.length === 3, `OneHot "${context.node.name}" needs 3 inputs.`);
  const run = kernel(context.backend, {
    label: 'OneHot',
    output,
    inputCount: 2,
    body: `  let column = (index / ${inner}) % ${depth};
  var hot = i32(x0[index / ${inner * depth} * ${inner} + index % ${inner}]);
  if (hot < 0) { hot = hot + ${depth}; }
  result[index] = select(x1[0], x1[1], hot == column);`,
  });
  return (inputs) => [run([given(inputs[0]), given(inputs[2])])];
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
  Pad: pad,
  Gather: gather,
  OneHot: oneHot,
};
