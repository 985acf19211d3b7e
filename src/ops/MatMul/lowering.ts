import { sizeOf } from '../../core/dtype';
import { collapse } from '../lowering/address';
import { outputType } from '../lowering/context';
import type { Lowering } from '../lowering/plan';
import { product } from './product';
import { viewOf } from './view';
import type { View } from './view';

/** A vector is a matrix of one row (left) or one column (right). */
function matrix(view: View, side: 'left' | 'right'): View {
  const { tensor, dims, strides } = view;
  if (dims.length !== 1) return view;
  return side === 'left'
    ? { tensor, dims: [1, ...dims], strides: [0, ...strides] }
    : { tensor, dims: [...dims, 1], strides: [...strides, 0] };
}

/** Strides over the leading axes `batch`, 0 where a matrix is repeated. */
function batchStrides({ dims, strides }: View, batch: readonly number[]): number[] {
  const shift = batch.length - (dims.length - 2);
  return batch.map((_, axis) => {
    const own = axis - shift;
    return own < 0 || dims[own] === 1 ? 0 : (strides[own] ?? 0);
  });
}

export const matMul: Lowering = (context) => {
  const a = matrix(viewOf(context, 0), 'left');
  const b = matrix(viewOf(context, 1), 'right');
  const output = outputType(context);
  const rank = Math.max(a.dims.length, b.dims.length);
  const batch = output.dims.slice(0, rank - 2);
  const [rows = 1, inner = 1] = a.dims.slice(-2);
  const [rowStride = 0, innerA = 0] = a.strides.slice(-2);
  const [innerB = 0, columnStride = 0] = b.strides.slice(-2);
  const left = batchStrides(a, batch);
  const right = batchStrides(b, batch);
  const common = { label: 'MatMul', columns: b.dims.at(-1) ?? 1, inner, output };
  // One right-hand matrix for all: the batch is only more rows, where one stride walks them.
  const lines = collapse([...batch, rows], [...left, rowStride]);
  const [only] = lines;
  if (right.every((stride) => stride === 0) && only && lines.length === 1 && only.stride !== 0) {
    const sides = {
      a: { tensor: a.tensor, batch: [], line: only.stride, inner: innerA },
      b: { tensor: b.tensor, batch: [], line: columnStride, inner: innerB },
    };
    return [product(context.plan, { ...common, batch: [], rows: sizeOf(batch) * rows, ...sides })];
  }
  const sides = {
    a: { tensor: a.tensor, batch: left, line: rowStride, inner: innerA },
    b: { tensor: b.tensor, batch: right, line: columnStride, inner: innerB },
  };
  return [product(context.plan, { ...common, batch, rows, ...sides })];
};
