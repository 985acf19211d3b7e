/**
 * Operators from the table of reductions. Axes come as an input (opset 18) or, in older files, as an attribute;
 * none given means all, or none with `noop_with_empty_axes`. An empty set gives the fold's start.
 */
import { isFloat, sizeOf } from '../../core/dtype';
import { attr } from '../../onnx/graph';
import type { Dim, Node, Tensor } from '../../onnx/graph';
import { intAttribute, intsAttribute, unsupported } from '../attributes';
import type { Expansion, GradientRule, InferContext, OpSpec, Value } from '../define';
import { settled } from '../elementwise/unary-spec';
import { cast, emitter, reshapeTo } from '../gradients';
import { dimAt, inputType, normalizeAxis, stridedIndex, stridesOf } from '../shapes';
import { inputValue, makeValue, numbersOf } from '../value';
import { REDUCTIONS } from './table';
import type { ReductionOp } from './table';

/** Axes to reduce, ascending. */
function axesOf(node: Node, given: readonly number[] | undefined, rank: number): number[] {
  const axes = given ?? intsAttribute(node, 'axes', []);
  if (axes.length === 0) {
    if (intAttribute(node, 'noop_with_empty_axes', 0)) return [];
    return Array.from({ length: rank }, (_, axis) => axis);
  }
  return [...new Set(axes.map((axis) => normalizeAxis(node, axis, rank)))].sort((a, b) => a - b);
}

/** The same where a graph is rewritten: by then the axes must be known. */
function settledAxes(
  { node, constant }: { readonly node: Node; constant(index: number): Tensor | undefined },
  rank: number,
): number[] {
  const tensor = constant(1);
  if (!tensor && (node.inputs[1] ?? '') !== '') {
    throw unsupported(node, 'takes its axes from a value that is only known when it runs');
  }
  return axesOf(node, tensor && numbersOf(tensor), rank);
}

const keeps = (node: Node) => intAttribute(node, 'keepdims', 1) !== 0;

export function reducedDims<T extends Dim>(
  dims: readonly T[],
  axes: readonly number[],
  keep: boolean,
) {
  return keep
    ? dims.map((dim, axis) => (axes.includes(axis) ? 1 : dim))
    : dims.filter((_, axis) => !axes.includes(axis));
}

function reduce(op: ReductionOp, x: Value, axes: readonly number[], keep: boolean): Value {
  const strides = stridesOf(x.dims);
  const kept = x.dims.map((_, axis) => axis).filter((axis) => !axes.includes(axis));
  const pick = (list: readonly number[], of: readonly number[]) =>
    of.map((axis) => dimAt(list, axis));
  const bases = stridedIndex(pick(x.dims, kept), pick(strides, kept));
  const steps = stridedIndex(pick(x.dims, axes), pick(strides, axes));
  const data = new Float64Array(bases.length);
  for (let i = 0; i < bases.length; i++) {
    let total = op.start;
    const base = bases[i] as number;
    for (const step of steps) total = op.fold(total, x.data[base + step] as number);
    data[i] = op.finish ? op.finish(total, steps.length) : total;
  }
  const dims = reducedDims(x.dims, axes, keep);
  if (x.dtype === 'bool')
    return makeValue(
      'bool',
      dims,
      data.map((value) => (value > 0 ? 1 : 0)),
    );
  return makeValue(x.dtype, dims, isFloat(x.dtype) ? data : settled(x.dtype, data.map(Math.trunc)));
}

/** Where the axes are not known before the model runs, neither are the lengths. */
function inferDims(context: InferContext): Dim[] {
  const { node } = context;
  const { dims } = inputType(context, 0);
  const tensor = context.constant(1);
  const open = context.inputs[1];
  const count = open?.dims[0];
  if (!open || tensor || count === 0) {
    const given = tensor ? numbersOf(tensor) : open ? [] : undefined;
    return reducedDims(dims, axesOf(node, given, dims.length), keeps(node));
  }
  const rank = keeps(node) ? dims.length : dims.length - (typeof count === 'number' ? count : 0);
  return Array.from({ length: rank }, (_, axis) => `${node.name}_${axis}`);
}

const gradient: GradientRule = (context) => {
  const { builder, node } = context;
  const [g] = context.outputGradients;
  const [x] = node.inputs;
  const [y] = node.outputs;
  const op = REDUCTIONS[node.op];
  if (!op || !g || !x || !y) return [];
  const { dtype, dims } = context.type(x);
  const axes = settledAxes(context, dims.length);
  const kept = reducedDims(dims, axes, true);
  // One number broadcasts by itself.
  const fits = keeps(node) || axes.length === dims.length;
  const widen = (value: string) => (fits ? value : reshapeTo(builder, value, kept));
  const again = (name: string) => (value: string) =>
    axes.length === 0
      ? value
      : builder.node(name, [value, builder.ints(axes)], { keepdims: attr.int(1) });
  const made = op.gradient({
    e: emitter(builder, dtype),
    x,
    g: widen(g),
    y: () => widen(y),
    count: sizeOf(axes.map((axis) => dimAt(dims, axis))),
    sum: again('ReduceSum'),
    product: again('ReduceProd'),
    number: (condition) => cast(builder, condition, dtype),
  });
  const uniform = node.op === 'ReduceSum' || node.op === 'ReduceMean' || node.op === 'ReduceLogSum';
  return [uniform ? builder.node('Expand', [made, builder.ints(dims)]) : made];
};

/** log Σ eˣ = m + log Σ eˣ⁻ᵐ with the largest m, or 0 where that is infinite. */
const logSumExp: Expansion = (context) => {
  const { node, builder, type } = context;
  const [x = ''] = node.inputs;
  const { dtype, dims } = type(x);
  const axes = settledAxes(context, dims.length);
  if (axes.length === 0) return [x];
  const e = emitter(builder, dtype);
  const inputs = (value: string) => [value, builder.ints(axes)];
  const top = builder.node('ReduceMax', inputs(x), { keepdims: attr.int(1) });
  const shift = e('Where', e('IsInf', top), 0, top);
  const rest = builder.node('ReduceLogSum', inputs(e('Exp', e('Sub', x, shift))), {
    keepdims: attr.int(1),
  });
  const wide = e('Add', rest, shift);
  return [keeps(node) ? wide : reshapeTo(builder, wide, reducedDims(dims, axes, false))];
};

export const reductionSpecs: readonly OpSpec[] = Object.entries(REDUCTIONS).map(([name, op]) => ({
  name,
  domain: '',
  inputs: [1, 2],
  infer: (context) => [{ dtype: inputType(context, 0).dtype, dims: inferDims(context) }],
  reference: (node, inputs) => {
    const x = inputValue(node, inputs, 0);
    const given = inputs[1] && Array.from(inputs[1].data);
    return [reduce(op, x, axesOf(node, given, x.dims.length), keeps(node))];
  },
  gradient,
  ...(name === 'ReduceLogSumExp' && { expand: logSumExp }),
}));
