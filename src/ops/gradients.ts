/** Small graph-building helpers that gradient rules share. */
import { attr } from '../onnx/graph';
import type { GraphBuilder } from '../onnx/builder';
import { dimAt, sameDims } from './shapes';

/** Undoes broadcasting: sums `name` of shape `from` over the axes along which `to` was repeated. */
export function sumTo(
  builder: GraphBuilder,
  name: string,
  from: readonly number[],
  to: readonly number[],
): string {
  if (sameDims(from, to)) return name;
  const missing = from.length - to.length;
  const axes: number[] = [];
  from.forEach((dim, axis) => {
    if (axis < missing || (dimAt(to, axis - missing) === 1 && dim !== 1)) axes.push(axis);
  });
  if (axes.length === 0) return name;
  // Only whole leading axes go: the sum drops them itself.
  const leading = axes.length === missing;
  const summed = builder.node('ReduceSum', [name, builder.ints(axes)], {
    keepdims: attr.int(leading ? 0 : 1),
  });
  return leading || missing === 0 ? summed : reshapeTo(builder, summed, to);
}

export function reshapeTo(builder: GraphBuilder, name: string, dims: readonly number[]): string {
  return builder.node('Reshape', [name, builder.ints(dims)]);
}

/** A zero of the given shape that costs one stored element. */
export function zeros(builder: GraphBuilder, dims: readonly number[]): string {
  return builder.node('Expand', [builder.scalar(0), builder.ints(dims)]);
}

export function scale(builder: GraphBuilder, name: string, factor: number): string {
  return factor === 1 ? name : builder.node('Mul', [name, builder.scalar(factor)]);
}

export function transpose(builder: GraphBuilder, name: string, perm: readonly number[]): string {
  return builder.node('Transpose', [name], { perm: attr.ints(perm) });
}
