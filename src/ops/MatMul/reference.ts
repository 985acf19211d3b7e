/** Row-major matrix product with broadcast leading axes; shared by MatMul, Gemm and MatMulInteger. */
import { shapeError } from '../shapes';
import { broadcastDims, broadcastIndex, dimAt, shapeText } from '../shapes';
import type { Dim, Node } from '../../onnx/graph';
import { sizeOf } from '../../core/dtype';
import type { Value } from '../define';
import { makeValue } from '../value';

/** out[m,n] += Σk a[m,k]·b[k,n], with k in the middle loop so that both inner reads are in a row. */
export function multiplyInto(
  a: Float64Array,
  aOffset: number,
  b: Float64Array,
  bOffset: number,
  out: Float64Array,
  outOffset: number,
  rows: number,
  inner: number,
  columns: number,
): void {
  for (let m = 0; m < rows; m++) {
    const outRow = outOffset + m * columns;
    for (let k = 0; k < inner; k++) {
      const factor = a[aOffset + m * inner + k] as number;
      const bRow = bOffset + k * columns;
      for (let n = 0; n < columns; n++) {
        out[outRow + n] = (out[outRow + n] as number) + factor * (b[bRow + n] as number);
      }
    }
  }
}

/** numpy's rules: 1-D operands gain an axis of length 1 that the result loses again. */
export function matMulDims(node: Node, a: readonly Dim[], b: readonly Dim[]) {
  if (a.length === 0 || b.length === 0) {
    throw shapeError(node, 'the inputs', 'of rank 1 or more', 'scalar');
  }
  const left = a.length === 1 ? [1, dimAt(a, 0)] : a;
  const right = b.length === 1 ? [dimAt(b, 0), 1] : b;
  const rows = dimAt(left, left.length - 2);
  const inner = dimAt(left, left.length - 1);
  const innerRight = dimAt(right, right.length - 2);
  const columns = dimAt(right, right.length - 1);
  if (typeof inner === 'number' && typeof innerRight === 'number' && inner !== innerRight) {
    throw shapeError(node, 'input 1', `${inner} rows`, `${innerRight} in ${shapeText(b)}`);
  }
  const batch = broadcastDims(node, left.slice(0, -2), right.slice(0, -2));
  const dims = [...batch, ...(a.length === 1 ? [] : [rows]), ...(b.length === 1 ? [] : [columns])];
  return { left, right, batch, rows, inner, columns, dims };
}

export function matMul(node: Node, a: Value, b: Value): Value {
  const shape = matMulDims(node, a.dims, b.dims);
  const rows = shape.rows as number;
  const inner = shape.inner as number;
  const columns = shape.columns as number;
  const batch = shape.batch as number[];
  const out = makeValue(a.dtype, shape.dims as number[]);
  const aIndex = broadcastIndex(shape.left.slice(0, -2) as number[], batch);
  const bIndex = broadcastIndex(shape.right.slice(0, -2) as number[], batch);
  for (let i = 0; i < sizeOf(batch); i++) {
    multiplyInto(
      a.data,
      (aIndex[i] as number) * rows * inner,
      b.data,
      (bIndex[i] as number) * inner * columns,
      out.data,
      i * rows * columns,
      rows,
      inner,
      columns,
    );
  }
  return out;
}
