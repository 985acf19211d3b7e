/** Small graph-building helpers that gradient rules and expansions share. */
import { DTYPE_CODE } from '../core/dtype';
import type { DType } from '../core/dtype';
import { attr, TRAINING_DOMAIN } from '../onnx/graph';
import type { Attribute } from '../onnx/graph';
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

/** Emits a node without attributes; numbers among the inputs become scalars. */
export type Emit = (op: string, ...inputs: readonly (string | number)[]) => string;

/** @param dtype of the numbers */
export function emitter(builder: GraphBuilder, dtype: DType = 'float32'): Emit {
  return (op, ...inputs) =>
    builder.node(
      op,
      inputs.map((input) => (typeof input === 'string' ? input : scalarOf(builder, dtype, input))),
    );
}

export function scalarOf(builder: GraphBuilder, dtype: DType, value: number): string {
  if (dtype === 'float32') return builder.scalar(value);
  if (dtype === 'int64') return builder.constant('int64', [], [value]);
  return cast(builder, builder.scalar(value), dtype);
}

export function cast(builder: GraphBuilder, name: string, to: DType): string {
  return builder.node('Cast', [name], { to: attr.int(DTYPE_CODE[to]) });
}

/**
 * Emits a training operator of which only some outputs are wanted: `names` has a name for each of those. The
 * others stay unnamed, so that no kernel computes them.
 */
export function trainingNode(
  builder: GraphBuilder,
  op: string,
  inputs: readonly string[],
  names: readonly (string | undefined)[],
  attributes: Readonly<Record<string, Attribute>> = {},
): readonly (string | undefined)[] {
  const outputs = names.map((name) => (name === undefined ? '' : builder.freeName(name)));
  builder.nodes(op, inputs, outputs.length, attributes, { domain: TRAINING_DOMAIN, outputs });
  return outputs.map((name) => (name === '' ? undefined : name));
}
