import { isFloat } from '../../core/dtype';
import type { GraphBuilder } from '../../onnx/builder';
import { attr } from '../../onnx/graph';
import { floorDivDims, mulDims } from '../../onnx/dim';
import type { Dim, Node, Tensor } from '../../onnx/graph';
import { floatAttribute, stringAttribute } from '../attributes';
import type { Expansion, GradientRule, InferContext, OpSpec, Value } from '../define';
import { roundHalfEven } from '../elementwise/rounding';
import { reshapeTo } from '../gradients';
import { aroundAxis, dimAt, inputType, isStatic } from '../shapes';
import { inputValue, makeValue, numbersOf } from '../value';
import type { AxisResize } from './axis';
import { planResize, resizedAxes, targetsOf } from './plan';
import type { ResizeInputs } from './plan';

function inputsOf(constant: (index: number) => Tensor | undefined): ResizeInputs {
  const [roi, scales, sizes] = [1, 2, 3].map((index) => {
    const tensor = constant(index);
    return tensor && numbersOf(tensor);
  });
  return { roi, scales, sizes };
}

/** The plan of a node whose shapes are known: where scales or sizes are computed, the shapes say them. */
function staticPlan(
  node: Node,
  x: readonly number[],
  y: readonly number[],
  constant: (index: number) => Tensor | undefined,
): AxisResize[] {
  const given = inputsOf(constant);
  const known = given.scales?.length || given.sizes?.length;
  const sizes = resizedAxes(node, x.length).map((axis) => dimAt(y, axis));
  return planResize(node, x, known ? given : { ...given, sizes });
}

function resizedDims(context: InferContext, dims: readonly Dim[]): Dim[] {
  const { node } = context;
  const axes = resizedAxes(node, dims.length);
  const unknown = (axis: number): Dim => `${node.name}_${axis}`;
  const { scales, sizes } = inputsOf((index) => context.constant(index));
  const result = [...dims];
  if (isStatic(dims) && (scales?.length || sizes?.length)) {
    for (const { axis, output } of targetsOf(node, dims, { scales, sizes })) result[axis] = output;
    return result;
  }
  const stretch = stringAttribute(node, 'keep_aspect_ratio_policy', 'stretch') === 'stretch';
  const elements = stretch ? context.elements(3) : undefined;
  axes.forEach((axis, at) => {
    const dim = dimAt(dims, axis);
    const scale = scales?.[at];
    if (scale === 1) return;
    if (scale !== undefined && typeof dim === 'number') {
      result[axis] = Math.floor(Math.fround(dim * scale));
    } else if (scale !== undefined && Number.isInteger(scale)) {
      result[axis] = mulDims(dim, scale);
    } else if (scale !== undefined && Number.isInteger(1 / scale)) {
      result[axis] = floorDivDims(dim, 1 / scale);
    } else result[axis] = elements?.[at] ?? unknown(axis);
  });
  return result;
}

/** The taps of all outputs in a row: those of output `at` stand from starts[at] to starts[at + 1]. */
function flatTaps({ taps }: AxisResize) {
  const all = taps.flat();
  const starts = new Int32Array(taps.length + 1);
  taps.forEach(({ length }, at) => (starts[at + 1] = (starts[at] as number) + length));
  return {
    starts,
    indices: Int32Array.from(all, ({ index }) => index),
    weights: Float64Array.from(all, ({ weight }) => weight),
  };
}

/** One axis of `x` resized; outputs outside the picture become `fill`. */
function resample(x: Value, plan: AxisResize, fill: number): Value {
  const { outer, length, inner } = aroundAxis(x.dims, plan.axis);
  const { output, axis: resized } = plan;
  const y = makeValue(
    x.dtype,
    x.dims.map((dim, axis) => (axis === resized ? output : dim)),
  );
  const [from, to] = [x.data, y.data];
  const { starts, indices, weights } = flatTaps(plan);
  for (let o = 0; o < outer; o++) {
    for (let at = 0; at < output; at++) {
      const row = (o * output + at) * inner;
      const end = starts[at + 1] as number;
      for (let tap = starts[at] as number; tap < end; tap++) {
        const source = (o * length + (indices[tap] as number)) * inner;
        const weight = weights[tap] as number;
        for (let i = 0; i < inner; i++) {
          to[row + i] = (to[row + i] as number) + weight * (from[source + i] as number);
        }
      }
    }
    for (const at of plan.outside) {
      const row = (o * output + at) * inner;
      to.fill(fill, row, row + inner);
    }
  }
  return y;
}

/** Integer pictures are rounded and kept in range. */
function rounded(node: Node, value: Value): Value {
  if (isFloat(value.dtype) || stringAttribute(node, 'mode', 'nearest') === 'nearest') return value;
  const bits = Number(/\d+$/.exec(value.dtype)?.[0] ?? 53);
  const [low, high] = value.dtype.startsWith('u')
    ? [0, 2 ** bits - 1]
    : [-(2 ** (bits - 1)), 2 ** (bits - 1) - 1];
  const data = value.data.map((x) => Math.min(Math.max(roundHalfEven(x), low), high));
  return { ...value, data };
}

/** [output, input], or its transpose. */
function matrixOf({ taps, input, output }: AxisResize, transposed: boolean): number[] {
  const matrix = new Array<number>(input * output).fill(0);
  taps.forEach((list, at) => {
    for (const { index, weight } of list) {
      matrix[transposed ? index * output + at : at * input + index] = weight;
    }
  });
  return matrix;
}

/** The axis multiplied by the plan's matrix (or, backward, by its transpose), wherever it stands. */
function alongAxis(
  builder: GraphBuilder,
  x: string,
  dims: readonly number[],
  plan: AxisResize,
  backward: boolean,
): string {
  const [to, from] = backward ? [plan.input, plan.output] : [plan.output, plan.input];
  const left = () => builder.constant('float32', [to, from], matrixOf(plan, backward));
  if (plan.axis === dims.length - 1) {
    const right = builder.constant('float32', [from, to], matrixOf(plan, !backward));
    return builder.node('MatMul', [x, right]);
  }
  if (plan.axis === dims.length - 2) return builder.node('MatMul', [left(), x]);
  const { outer, inner } = aroundAxis(dims, plan.axis);
  const y = builder.node('MatMul', [left(), reshapeTo(builder, x, [outer, from, inner])]);
  const result = dims.map((dim, axis) => (axis === plan.axis ? to : dim));
  return reshapeTo(builder, y, result);
}

/** `value` where the plan's outputs lie outside the picture. */
function fillOutside(
  builder: GraphBuilder,
  y: string,
  rank: number,
  { axis, output, outside }: AxisResize,
  value: number,
): string {
  if (outside.length === 0) return y;
  const beyond = new Set(outside);
  const mask = Array.from({ length: output }, (_, at) => (beyond.has(at) ? 1 : 0));
  const column = [output, ...new Array<number>(rank - axis - 1).fill(1)];
  return builder.node('Where', [builder.constant('bool', column, mask), builder.scalar(value), y]);
}

const expand: Expansion = ({ node, builder, type, constant }) => {
  const [x = ''] = node.inputs;
  const [y = ''] = node.outputs;
  let dims = type(x).dims;
  const plans = staticPlan(node, dims, type(y).dims, constant);
  const single = stringAttribute(node, 'mode', 'nearest') === 'nearest';
  const fill = floatAttribute(node, 'extrapolation_value', 0);
  let value = x;
  for (const plan of plans) {
    if (single) {
      const indices = plan.taps.map(([tap]) => tap?.index ?? 0);
      const attributes = { axis: attr.int(plan.axis) };
      value = builder.node('Gather', [value, builder.ints(indices)], attributes);
    } else value = alongAxis(builder, value, dims, plan, false);
    dims = dims.map((dim, axis) => (axis === plan.axis ? plan.output : dim));
    value = fillOutside(builder, value, dims.length, plan, fill);
  }
  return [plans.length === 0 ? builder.node('Identity', [value]) : value];
};

/** Each axis back by its transposed matrix, the last first; what was filled in has no gradient. */
const gradient: GradientRule = ({ node, builder, outputGradients, type, constant }) => {
  const [g] = outputGradients;
  const [x = ''] = node.inputs;
  const [y = ''] = node.outputs;
  if (!g) return [];
  let dims = type(y).dims;
  let value = g;
  for (const plan of staticPlan(node, type(x).dims, dims, constant).toReversed()) {
    value = fillOutside(builder, value, dims.length, plan, 0);
    value = alongAxis(builder, value, dims, plan, true);
    dims = dims.map((dim, axis) => (axis === plan.axis ? plan.input : dim));
  }
  return [value];
};

export const resizeSpec: OpSpec = {
  name: 'Resize',
  domain: '',
  inputs: [1, 4],
  infer: (context) => {
    const { dtype, dims } = inputType(context, 0);
    return [{ dtype, dims: resizedDims(context, dims) }];
  },
  reference: (node, inputs) => {
    const x = inputValue(node, inputs, 0);
    const [roi, scales, sizes] = [1, 2, 3].map((at) => inputs[at] && Array.from(inputs[at].data));
    const fill = floatAttribute(node, 'extrapolation_value', 0);
    const plans = planResize(node, x.dims, { roi, scales, sizes });
    return [
      rounded(
        node,
        plans.reduce<Value>((value, plan) => resample(value, plan, fill), x),
      ),
    ];
  },
  gradient,
  expand,
};
