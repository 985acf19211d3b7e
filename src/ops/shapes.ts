/** Shape arithmetic shared by shape rules, reference kernels and gradients. Shapes are row-major. */
import { AppError } from '../core/errors';
import { equalDims } from '../onnx/dim';
import type { Dim, Node, TensorType } from '../onnx/graph';
import type { InferContext } from './define';

export function shapeText(dims: readonly Dim[]): string {
  return `[${dims.join(', ')}]`;
}

/** `onnx/shape`: names the node, the port, what was expected and what was found. */
export function shapeError(node: Node, port: string, expected: string, found: string): AppError {
  return new AppError(
    'onnx/shape',
    `Node "${node.name}" (${node.op}): ${port} should be ${expected}, but is ${found}.`,
    { node: node.name, op: node.op, port, expected, found },
  );
}

/** Type of input `index`, which the operator cannot do without. */
export function inputType(context: InferContext, index: number): TensorType {
  const type = context.inputs[index];
  if (!type) throw shapeError(context.node, `input ${index}`, 'given', 'missing');
  return type;
}

/** Input `index`, called `port`, must have the dimensions `expected`. */
export function checkInputDims(
  context: InferContext,
  index: number,
  port: string,
  expected: readonly Dim[],
): void {
  const { dims } = inputType(context, index);
  if (!sameDims(dims, expected)) {
    throw shapeError(context.node, port, shapeText(expected), shapeText(dims));
  }
}

/** Length of axis `axis`, checked. */
export function dimAt<T extends Dim>(dims: readonly T[], axis: number): T {
  const dim = dims[axis];
  if (dim === undefined) {
    throw new AppError('onnx/shape', `The shape ${shapeText(dims)} has no axis ${axis}.`);
  }
  return dim;
}

export function isStatic(dims: readonly Dim[]): dims is readonly number[] {
  return dims.every((dim) => typeof dim === 'number');
}

export function sameDims(a: readonly Dim[], b: readonly Dim[]): boolean {
  return a.length === b.length && a.every((dim, axis) => equalDims(dim, b[axis] ?? NaN));
}

/** ONNX axis in [-rank, rank) made non-negative. */
export function normalizeAxis(node: Node, axis: number, rank: number): number {
  const result = axis < 0 ? axis + rank : axis;
  if (!Number.isInteger(axis) || result < 0 || result >= rank) {
    throw shapeError(node, 'axis', `within [${-rank}, ${rank - 1}]`, String(axis));
  }
  return result;
}

/**
 * Multidirectional (numpy) broadcasting of two shapes. A symbolic length fits itself and 1; two that are not known
 * to be equal are taken to be, and the shorter text stays, which is the one that a person gave.
 */
export function broadcastDims(node: Node, a: readonly Dim[], b: readonly Dim[]): Dim[] {
  const rank = Math.max(a.length, b.length);
  return Array.from({ length: rank }, (_, index): Dim => {
    const left = a[a.length - rank + index] ?? 1;
    const right = b[b.length - rank + index] ?? 1;
    if (left === right || right === 1) return left;
    if (left === 1) return right;
    if (typeof left === 'string') {
      return typeof right === 'string' && left.length <= right.length ? left : right;
    }
    if (typeof right === 'string') return left;
    throw shapeError(
      node,
      'the inputs',
      'shapes that broadcast',
      `${shapeText(a)} and ${shapeText(b)}`,
    );
  });
}

export function broadcastStatic(node: Node, a: readonly number[], b: readonly number[]): number[] {
  return broadcastDims(node, a, b) as number[];
}

/** Row-major strides in elements. */
export function stridesOf(dims: readonly number[]): number[] {
  const strides = new Array<number>(dims.length).fill(1);
  for (let axis = dims.length - 2; axis >= 0; axis--) {
    strides[axis] = dimAt(strides, axis + 1) * dimAt(dims, axis + 1);
  }
  return strides;
}

/** For each element of `out`, the element it reads when addressed by `strides` (one stride an axis of `out`). */
export function stridedIndex(
  out: readonly number[],
  strides: readonly number[],
  offset = 0,
): Int32Array {
  let size = 1;
  for (const dim of out) size *= dim;
  const index = new Int32Array(size);
  if (size === 0) return index;
  // Grow the table axis by axis from the innermost: each outer step repeats the block below it, shifted.
  let block = 1;
  index[0] = offset;
  for (let axis = out.length - 1; axis >= 0; axis--) {
    const stride = dimAt(strides, axis);
    const count = dimAt(out, axis);
    for (let step = 1; step < count; step++) {
      const base = step * block;
      const shift = step * stride;
      for (let i = 0; i < block; i++) index[base + i] = (index[i] as number) + shift;
    }
    block *= count;
  }
  return index;
}

/** For each element of `out`, the element of a tensor of shape `dims` that broadcasting reads. */
export function broadcastIndex(dims: readonly number[], out: readonly number[]): Int32Array {
  const own = stridesOf(dims);
  const missing = out.length - dims.length;
  return stridedIndex(
    out,
    out.map((_, axis) =>
      axis < missing || dimAt(dims, axis - missing) === 1 ? 0 : dimAt(own, axis - missing),
    ),
  );
}

/** Elements before and after an axis: a tensor seen as [outer, length, inner]. */
export function aroundAxis(
  dims: readonly number[],
  axis: number,
): { outer: number; length: number; inner: number } {
  let outer = 1;
  let inner = 1;
  dims.forEach((dim, index) => {
    if (index < axis) outer *= dim;
    if (index > axis) inner *= dim;
  });
  return { outer, length: dimAt(dims, axis), inner };
}
