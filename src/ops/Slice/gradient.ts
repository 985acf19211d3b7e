/**
 * The gradient of a slice lays dY back into zeros. Each axis on its own: a falling step is reversed, a step
 * over 1 gets zeros in between, and the rest is padding.
 */
import { attr } from '../../onnx/graph';
import type { GraphBuilder } from '../../onnx/builder';
import type { GradientRule } from '../define';
import { reshapeTo, zeros } from '../gradients';
import { dimAt } from '../shapes';
import type { AxisRange } from './range';
import { constantRanges } from './range';

/** Puts `step` − 1 zeros after each element of an axis. Returns the value and its new shape. */
function interleave(
  builder: GraphBuilder,
  name: string,
  dims: readonly number[],
  axis: number,
  step: number,
): { name: string; dims: number[] } {
  const column = [...dims.slice(0, axis + 1), 1, ...dims.slice(axis + 1)];
  const gap = column.map((dim, at) => (at === axis + 1 ? step - 1 : dim));
  const wide = builder.node('Concat', [reshapeTo(builder, name, column), zeros(builder, gap)], {
    axis: attr.int(axis + 1),
  });
  const grown = dims.map((dim, at) => (at === axis ? dim * step : dim));
  return { name: reshapeTo(builder, wide, grown), dims: grown };
}

function layBack(
  builder: GraphBuilder,
  given: { name: string; dims: number[] },
  { axis, start, step, length }: AxisRange,
  full: number,
): { name: string; dims: number[] } {
  let { name, dims } = given;
  let first = start;
  if (step < 0 && length > 0) {
    const order = Array.from({ length }, (_, index) => length - 1 - index);
    name = builder.node('Gather', [name, builder.ints(order)], { axis: attr.int(axis) });
    first = start + (length - 1) * step;
  }
  if (Math.abs(step) > 1) ({ name, dims } = interleave(builder, name, dims, axis, Math.abs(step)));
  // The zeros behind the last element may reach over the end.
  const fits = Math.min(dimAt(dims, axis), full - first);
  if (fits < dimAt(dims, axis)) {
    name = builder.node('Slice', [
      name,
      builder.ints([0]),
      builder.ints([fits]),
      builder.ints([axis]),
    ]);
  }
  const before = dims.map((_, at) => (at === axis ? first : 0));
  const after = dims.map((_, at) => (at === axis ? full - first - fits : 0));
  dims = dims.map((dim, at) => (at === axis ? full : dim));
  const pads = [...before, ...after];
  if (pads.every((pad) => pad === 0)) return { name, dims };
  return { name: builder.node('Pad', [name, builder.ints(pads)]), dims };
}

export const sliceGradient: GradientRule = (context) => {
  const { node, builder } = context;
  const [g] = context.outputGradients;
  const [x] = node.inputs;
  const [y] = node.outputs;
  if (!g || !x || !y) return [];
  const full = context.type(x).dims;
  const ranges = constantRanges(node, full, (index) => context.constant(index));
  let value = { name: g, dims: [...context.type(y).dims] };
  for (const range of ranges) value = layBack(builder, value, range, dimAt(full, range.axis));
  return [value.name];
};
