/** Max pooling: for each output the position of its first maximum, from which value and gradient follow. */
import { sizeOf } from '../../core/dtype';
import type { Node } from '../../onnx/graph';
import type { ReferenceKernel, Value } from '../define';
import { windowOf } from '../Conv/window';
import { dimAt } from '../shapes';
import { inputValue, makeValue } from '../value';

/** Flat index into `x` of the maximum under each window; ties take the first in row order, NaN wins. */
export function firstMaxima(node: Node, x: Value): { dims: number[]; index: Int32Array } {
  const { kernel, strides, dilations, pads, input, output } = windowOf(node, x.dims);
  const dims = [dimAt(x.dims, 0), dimAt(x.dims, 1), ...output];
  const index = new Int32Array(sizeOf(dims));
  const planes = dimAt(dims, 0) * dimAt(dims, 1);
  let at = 0;
  for (let plane = 0; plane < planes; plane++) {
    const base = plane * input[0] * input[1];
    for (let oh = 0; oh < output[0]; oh++) {
      for (let ow = 0; ow < output[1]; ow++) {
        let best = -1;
        let max = -Infinity;
        for (let kh = 0; kh < kernel[0]; kh++) {
          const h = oh * strides[0] + kh * dilations[0] - pads[0];
          if (h < 0 || h >= input[0]) continue;
          for (let kw = 0; kw < kernel[1]; kw++) {
            const w = ow * strides[1] + kw * dilations[1] - pads[1];
            if (w < 0 || w >= input[1]) continue;
            const here = base + h * input[1] + w;
            const value = x.data[here] as number;
            if (best < 0 || value > max || (Number.isNaN(value) && !Number.isNaN(max))) {
              best = here;
              max = value;
            }
          }
        }
        index[at++] = best;
      }
    }
  }
  return { dims, index };
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
  return [y, makeValue('int64', dims, Float64Array.from(index))];
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
