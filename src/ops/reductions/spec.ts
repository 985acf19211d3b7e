/** ReduceSum, ReduceMean and ReduceMax as one table. Axes come as an input (opset 18) or, in older files, an attribute. */
import { attr } from '../../onnx/graph';
import type { Dim, Node } from '../../onnx/graph';
import { intAttribute, intsAttribute } from '../attributes';
import type { GradientContext, OpSpec, Value } from '../define';
import { reshapeTo, scale } from '../gradients';
import { dimAt, inputType, normalizeAxis, stridedIndex, stridesOf } from '../shapes';
import { inputValue, makeValue, numbersOf } from '../value';

interface Reduction {
  readonly start: number;
  readonly fold: (sum: number, x: number) => number;
  readonly finish?: (sum: number, count: number) => number;
  /** Gradient of x before broadcasting; `g` and `y` have the kept (length 1) axes. */
  readonly gradient: (
    context: GradientContext,
    g: string,
    y: string,
    count: number,
    axes: readonly number[],
  ) => string;
}

const REDUCTIONS: Readonly<Record<string, Reduction>> = {
  ReduceSum: { start: 0, fold: (sum, x) => sum + x, gradient: (_, g) => g },
  ReduceMean: {
    start: 0,
    fold: (sum, x) => sum + x,
    finish: (sum, count) => sum / count,
    gradient: ({ builder }, g, _, count) => scale(builder, g, 1 / count),
  },
  // Equal maxima share the gradient evenly: a reduction has no first element that counts more.
  ReduceMax: {
    start: -Infinity,
    fold: (max, x) => (x > max || Number.isNaN(x) ? x : max),
    gradient: ({ builder, node }, g, y, _, axes) => {
      const hit = builder.node('Cast', [builder.node('Equal', [node.inputs[0] ?? '', y])], {
        to: attr.int(1),
      });
      const hits = builder.node('ReduceSum', [hit, builder.ints(axes)], { keepdims: attr.int(1) });
      return builder.node('Mul', [hit, builder.node('Div', [g, hits])]);
    },
  },
};

/** Axes to reduce, ascending; none given means all (or nothing with `noop_with_empty_axes`). */
function axesOf(node: Node, given: readonly number[] | undefined, rank: number): number[] {
  const axes = given ?? intsAttribute(node, 'axes', []);
  if (axes.length === 0) {
    if (intAttribute(node, 'noop_with_empty_axes', 0)) return [];
    return Array.from({ length: rank }, (_, axis) => axis);
  }
  return [...new Set(axes.map((axis) => normalizeAxis(node, axis, rank)))].sort((a, b) => a - b);
}

function reducedDims<T extends Dim>(dims: readonly T[], axes: readonly number[], keep: boolean) {
  return keep
    ? dims.map((dim, axis) => (axes.includes(axis) ? 1 : dim))
    : dims.filter((_, axis) => !axes.includes(axis));
}

function reduce(op: Reduction, node: Node, x: Value, axes: readonly number[]): Value {
  const strides = stridesOf(x.dims);
  const kept = x.dims.map((_, axis) => axis).filter((axis) => !axes.includes(axis));
  const pick = (list: readonly number[], of: readonly number[]) =>
    of.map((axis) => dimAt(list, axis));
  const bases = stridedIndex(pick(x.dims, kept), pick(strides, kept));
  const steps = stridedIndex(pick(x.dims, axes), pick(strides, axes));
  const keep = intAttribute(node, 'keepdims', 1) !== 0;
  const result = makeValue(x.dtype, reducedDims(x.dims, axes, keep));
  for (let i = 0; i < bases.length; i++) {
    let sum = op.start;
    const base = bases[i] as number;
    for (const step of steps) sum = op.fold(sum, x.data[base + step] as number);
    result.data[i] = op.finish ? op.finish(sum, steps.length) : sum;
  }
  return result;
}

function reductionSpec(name: string, op: Reduction): OpSpec {
  return {
    name,
    domain: '',
    inputs: [1, 2],
    infer: (context) => {
      const { dtype, dims } = inputType(context, 0);
      const tensor = context.constant(1);
      const axes = axesOf(context.node, tensor && numbersOf(tensor), dims.length);
      const keep = intAttribute(context.node, 'keepdims', 1) !== 0;
      return [{ dtype, dims: reducedDims(dims, axes, keep) }];
    },
    reference: (node, inputs) => {
      const x = inputValue(node, inputs, 0);
      const given = inputs[1] && Array.from(inputs[1].data);
      return [reduce(op, node, x, axesOf(node, given, x.dims.length))];
    },
    gradient: (context) => {
      const { builder, node } = context;
      const [g] = context.outputGradients;
      const [x] = node.inputs;
      const [y] = node.outputs;
      if (!g || !x || !y) return [];
      const dims = context.type(x).dims;
      const tensor = context.constant(1);
      const axes = axesOf(node, tensor && numbersOf(tensor), dims.length);
      const kept = reducedDims(dims, axes, true);
      const keep = intAttribute(node, 'keepdims', 1) !== 0;
      // One number broadcasts by itself.
      const fits = keep || axes.length === dims.length;
      const widen = (value: string) => (fits ? value : reshapeTo(builder, value, kept));
      const count = axes.reduce((product, axis) => product * dimAt(dims, axis), 1);
      // Only ReduceMax needs the output again; asking for it lazily would cost a node for the others.
      const inner = op.gradient(
        context,
        widen(g),
        name === 'ReduceMax' ? widen(y) : y,
        count,
        axes,
      );
      if (name === 'ReduceMax') return [inner];
      return [builder.node('Expand', [inner, builder.ints(dims)])];
    },
  };
}

export const reductionSpecs: readonly OpSpec[] = Object.entries(REDUCTIONS).map(([name, op]) =>
  reductionSpec(name, op),
);
