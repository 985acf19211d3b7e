/** Max pooling: for each output the position of its first maximum, from which value and gradient follow. */
import { sizeOf } from '../../core/dtype';
import type { Node } from '../../onnx/graph';
import { intAttribute } from '../attributes';
import { windowOf } from '../Conv/window';
import type { ReferenceKernel, Value } from '../define';
import { forEachWindow } from '../pooling/positions';
import { dimAt, stridesOf } from '../shapes';
import { inputValue, makeValue } from '../value';

/** Flat index into `x` of the maximum under each window; ties take the first in row order, NaN wins. */
export function firstMaxima(node: Node, x: Value): { dims: number[]; index: Int32Array } {
  const window = windowOf(node, x.dims);
  const dims = [dimAt(x.dims, 0), dimAt(x.dims, 1), ...window.map(({ output }) => output)];
  const index = new Int32Array(sizeOf(dims)).fill(-1);
  const planes = dimAt(dims, 0) * dimAt(dims, 1);
  const plane = sizeOf(x.dims.slice(2));
  const outputs = sizeOf(dims.slice(2));
  forEachWindow(window, (output, elements) => {
    for (let p = 0; p < planes; p++) {
      let best = -1;
      let max = -Infinity;
      for (const element of elements) {
        const value = x.data[p * plane + element] as number;
        if (best < 0 || value > max || (Number.isNaN(value) && !Number.isNaN(max))) {
          best = p * plane + element;
          max = value;
        }
      }
      index[p * outputs + output] = best;
    }
  });
  return { dims, index };
}

/** Steps of the spatial axes in a plane whose first axis runs fastest (`storage_order` 1). */
export function columnMajorSteps(space: readonly number[]): number[] {
  return stridesOf(space.toReversed()).toReversed();
}

/** ONNX counts `Indices` over the whole tensor, within a plane by rows or by columns. */
function storedIndex(node: Node, dims: readonly number[], index: Int32Array): Float64Array {
  if (intAttribute(node, 'storage_order', 0) === 0) return Float64Array.from(index);
  const space = dims.slice(2);
  const plane = sizeOf(space);
  const rows = stridesOf(space);
  const columns = columnMajorSteps(space);
  return Float64Array.from(index, (at) => {
    const within = at % plane;
    const moved = space.reduce((sum, dim, axis) => {
      const coordinate = Math.floor(within / dimAt(rows, axis)) % dim;
      return sum + coordinate * dimAt(columns, axis);
    }, 0);
    return at - within + moved;
  });
}

export const maxPoolReference: ReferenceKernel = (node, inputs) => {
  const x = inputValue(node, inputs, 0);
  const { dims, index } = firstMaxima(node, x);
  const y = makeValue(x.dtype, dims);
  for (let i = 0; i < index.length; i++) {
    const at = index[i] as number;
    y.data[i] = at < 0 ? -Infinity : (x.data[at] as number);
  }
  if (node.outputs.length < 2) return [y];
  return [y, makeValue('int64', dims, storedIndex(node, x.dims, index))];
};

/** (dY, X) -> dX. */
export const maxPoolGradReference: ReferenceKernel = (node, inputs) => {
  const dy = inputValue(node, inputs, 0);
  const x = inputValue(node, inputs, 1);
  const { index } = firstMaxima(node, x);
  const dx = makeValue(dy.dtype, x.dims);
  for (let i = 0; i < index.length; i++) {
    const at = index[i] as number;
    if (at >= 0) dx.data[at] = (dx.data[at] as number) + (dy.data[i] as number);
  }
  return [dx];
};
