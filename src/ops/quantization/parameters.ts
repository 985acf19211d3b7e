/**
 * Where the scale and zero point of an element stand: one for the whole tensor, one along `axis`, or one for each
 * block of `block_size` elements along `axis`.
 */
import { sizeOf } from '../../core/dtype';
import type { Dim, Node } from '../../onnx/graph';
import type { GraphBuilder } from '../../onnx/builder';
import { intAttribute } from '../attributes';
import { reshapeTo } from '../gradients';
import { aroundAxis, dimAt, normalizeAxis, shapeError, shapeText } from '../shapes';

function axisOf(node: Node, rank: number): number {
  return normalizeAxis(node, intAttribute(node, 'axis', 1), rank);
}

export function checkParameters(node: Node, x: readonly Dim[], scale: readonly Dim[]): void {
  if (scale.length === 0 || (scale.length === 1 && scale[0] === 1)) return;
  const block = intAttribute(node, 'block_size', 0);
  const axis = axisOf(node, x.length);
  const along = dimAt(x, axis);
  const blocks = (length: Dim) => (typeof length === 'number' ? Math.ceil(length / block) : length);
  const expected =
    block === 0 ? [along] : x.map((dim, index) => (index === axis ? blocks(dim) : dim));
  const fits =
    scale.length === expected.length &&
    expected.every(
      (dim, index) =>
        typeof dim === 'string' || typeof scale[index] === 'string' || dim === scale[index],
    );
  if (!fits) throw shapeError(node, 'scale', shapeText(expected), shapeText(scale));
}

/** For each element of x, the entry of a parameter of shape `scale`. */
export function parameterIndex(
  node: Node,
  x: readonly number[],
  scale: readonly number[],
): (at: number) => number {
  if (sizeOf(scale) === 1) return () => 0;
  const { length, inner } = aroundAxis(x, axisOf(node, x.length));
  const block = intAttribute(node, 'block_size', 0);
  if (block === 0) return (at) => Math.floor(at / inner) % length;
  const blocks = Math.ceil(length / block);
  return (at) => {
    const row = Math.floor(at / inner);
    const place = Math.floor((row % length) / block);
    return (Math.floor(row / length) * blocks + place) * inner + (at % inner);
  };
}

/** A parameter as a value that broadcasts to x. */
export function broadcastParameter(
  node: Node,
  builder: GraphBuilder,
  value: string,
  x: readonly number[],
  scale: readonly number[],
): string {
  if (sizeOf(scale) === 1) return scale.length === 0 ? value : reshapeTo(builder, value, []);
  const axis = axisOf(node, x.length);
  const block = intAttribute(node, 'block_size', 0);
  if (block === 0) {
    return reshapeTo(
      builder,
      value,
      x.map((dim, index) => (index === axis ? dim : 1)),
    );
  }
  // Each entry stands beside itself `block` times, and what the last block has too much is cut off.
  const wide = [...scale.slice(0, axis + 1), 1, ...scale.slice(axis + 1)];
  const repeated = wide.map((dim, index) => (index === axis + 1 ? block : dim));
  const long = scale.map((dim, index) => (index === axis ? dim * block : dim));
  const spread = builder.node('Expand', [reshapeTo(builder, value, wide), builder.ints(repeated)]);
  const flat = reshapeTo(builder, spread, long);
  if (long[axis] === x[axis]) return flat;
  const end = [dimAt(x, axis)];
  return builder.node('Slice', [flat, builder.ints([0]), builder.ints(end), builder.ints([axis])]);
}
