/** Which elements a tensor of indices points at. Negative indices count from the end of their axis. */
import { AppError } from '../../core/errors';
import type { Node } from '../../onnx/graph';
import type { Value } from '../define';
import { dimAt, stridedIndex, stridesOf } from '../shapes';

export function checkedIndex(node: Node, given: number, length: number): number {
  const index = given < 0 ? given + length : given;
  if (Number.isInteger(index) && index >= 0 && index < length) return index;
  throw new AppError(
    'onnx/index',
    `Node "${node.name}" (${node.op}) points at position ${given} of an axis of length ${length}.`,
    { node: node.name, op: node.op, index: given, length },
  );
}

/** GatherElements and ScatterElements: for each index, the element of a tensor of shape `dims` that it means. */
export function elementAddresses(
  node: Node,
  dims: readonly number[],
  indices: Value,
  axis: number,
): Int32Array {
  const strides = stridesOf(dims);
  const step = dimAt(strides, axis);
  const address = stridedIndex(
    indices.dims,
    strides.map((stride, at) => (at === axis ? 0 : stride)),
  );
  const length = dimAt(dims, axis);
  for (let i = 0; i < address.length; i++) {
    const index = checkedIndex(node, indices.data[i] as number, length);
    address[i] = (address[i] as number) + index * step;
  }
  return address;
}

export interface SliceAddresses {
  /** First element of each slice. */
  readonly starts: Int32Array;
  /** Elements of a slice. */
  readonly length: number;
}

/** GatherND and ScatterND: the last axis of the indices holds the leading coordinates of a slice. */
export function sliceAddresses(
  node: Node,
  dims: readonly number[],
  indices: Value,
  batchDims: number,
): SliceAddresses {
  const width = dimAt(indices.dims, indices.dims.length - 1);
  const strides = stridesOf(dims);
  const length = dims.slice(batchDims + width).reduce((size, dim) => size * dim, 1);
  const batches = dims.slice(0, batchDims).reduce((size, dim) => size * dim, 1);
  const batchSize = dims.slice(batchDims).reduce((size, dim) => size * dim, 1);
  const count = indices.dims.slice(0, -1).reduce((size, dim) => size * dim, 1);
  const each = batches === 0 ? 0 : count / batches;
  const starts = new Int32Array(count);
  for (let n = 0; n < count; n++) {
    let start = batchDims === 0 ? 0 : Math.floor(n / each) * batchSize;
    for (let at = 0; at < width; at++) {
      const axis = batchDims + at;
      const given = indices.data[n * width + at] as number;
      start += checkedIndex(node, given, dimAt(dims, axis)) * dimAt(strides, axis);
    }
    starts[n] = start;
  }
  return { starts, length };
}
