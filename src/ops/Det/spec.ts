/** Determinants of square matrices by elimination with partial pivoting. Inference on the interpreter only. */
import type { Dim, Node } from '../../onnx/graph';
import type { OpSpec } from '../define';
import { dimAt, inputType, shapeError, shapeText } from '../shapes';
import { inputValue, makeValue } from '../value';

function batchOf<T extends Dim>(node: Node, dims: readonly T[]): T[] {
  if (dims.length < 2 || dims.at(-1) !== dims.at(-2)) {
    throw shapeError(node, 'input 0', 'square matrices', shapeText(dims));
  }
  return dims.slice(0, -2);
}

/** Destroys `m`, a row-major n × n matrix. */
function determinant(m: Float64Array, n: number): number {
  let result = 1;
  for (let column = 0; column < n; column++) {
    let pivot = column;
    for (let row = column + 1; row < n; row++) {
      const size = (at: number) => Math.abs(m[at * n + column] as number);
      if (size(row) > size(pivot)) pivot = row;
    }
    const diagonal = m[pivot * n + column] as number;
    if (diagonal === 0) return 0;
    if (pivot !== column) {
      const held = m.slice(pivot * n, pivot * n + n);
      m.copyWithin(pivot * n, column * n, column * n + n);
      m.set(held, column * n);
      result = -result;
    }
    result *= diagonal;
    for (let row = column + 1; row < n; row++) {
      const factor = (m[row * n + column] as number) / diagonal;
      for (let k = column; k < n; k++) {
        m[row * n + k] = (m[row * n + k] as number) - factor * (m[column * n + k] as number);
      }
    }
  }
  return result;
}

export const detSpec: OpSpec = {
  name: 'Det',
  domain: '',
  inputs: [1, 1],
  infer: (context) => {
    const { dtype, dims } = inputType(context, 0);
    return [{ dtype, dims: batchOf(context.node, dims) }];
  },
  reference: (node, inputs) => {
    const x = inputValue(node, inputs, 0);
    const result = makeValue(x.dtype, batchOf(node, x.dims));
    const n = dimAt(x.dims, x.dims.length - 1);
    for (let i = 0; i < result.data.length; i++) {
      result.data[i] = determinant(x.data.slice(i * n * n, (i + 1) * n * n), n);
    }
    return [result];
  },
};
