/**
 * Convolution and its two gradients walk the same (weight, input row, output row) triples and differ only in
 * which of the three they add to. The row visitors are plain loops over typed arrays.
 */
import type { Node } from '../../onnx/graph';
import { intAttribute, intsAttribute } from '../attributes';
import type { ReferenceKernel } from '../define';
import { dimAt } from '../shapes';
import { inputValue, makeValue } from '../value';
import { validRange, windowOf } from './window';

type RowVisitor = (
  weight: number,
  input: number,
  step: number,
  output: number,
  count: number,
) => void;

/** Calls `visit` once for each weight, image and output row that touch; offsets are in elements. */
function forEachRow(
  node: Node,
  xDims: readonly number[],
  wDims: readonly number[],
  visit: RowVisitor,
): void {
  const [batch, channels] = [dimAt(xDims, 0), dimAt(xDims, 1)];
  const [filters, groupChannels] = [dimAt(wDims, 0), dimAt(wDims, 1)];
  const { kernel, strides, dilations, pads, input, output } = windowOf(node, xDims, wDims.slice(2));
  const filtersPerGroup = filters / intAttribute(node, 'group', 1);
  for (let n = 0; n < batch; n++) {
    for (let m = 0; m < filters; m++) {
      const firstChannel = Math.floor(m / filtersPerGroup) * groupChannels;
      const outputPlane = (n * filters + m) * output[0] * output[1];
      for (let c = 0; c < groupChannels; c++) {
        const inputPlane = (n * channels + firstChannel + c) * input[0] * input[1];
        for (let kh = 0; kh < kernel[0]; kh++) {
          const offsetH = kh * dilations[0] - pads[0];
          const [fromH, toH] = validRange(offsetH, strides[0], input[0], output[0]);
          for (let kw = 0; kw < kernel[1]; kw++) {
            const offsetW = kw * dilations[1] - pads[1];
            const [fromW, toW] = validRange(offsetW, strides[1], input[1], output[1]);
            const weight = ((m * groupChannels + c) * kernel[0] + kh) * kernel[1] + kw;
            for (let oh = fromH; oh < toH; oh++) {
              const row = inputPlane + (oh * strides[0] + offsetH) * input[1];
              const start = row + fromW * strides[1] + offsetW;
              visit(weight, start, strides[1], outputPlane + oh * output[1] + fromW, toW - fromW);
            }
          }
        }
      }
    }
  }
}

export const convReference: ReferenceKernel = (node, inputs) => {
  const x = inputValue(node, inputs, 0);
  const w = inputValue(node, inputs, 1);
  const bias = inputs[2];
  const { output } = windowOf(node, x.dims, w.dims.slice(2));
  const filters = dimAt(w.dims, 0);
  const y = makeValue(x.dtype, [dimAt(x.dims, 0), filters, ...output]);
  if (bias) {
    const plane = output[0] * output[1];
    for (let at = 0; at < y.data.length; at += plane) {
      y.data.fill(bias.data[(at / plane) % filters] as number, at, at + plane);
    }
  }
  const [from, weights, to] = [x.data, w.data, y.data];
  forEachRow(node, x.dims, w.dims, (weight, input, step, out, count) => {
    const factor = weights[weight] as number;
    for (let i = 0; i < count; i++) {
      to[out + i] = (to[out + i] as number) + factor * (from[input + i * step] as number);
    }
  });
  return [y];
};

/** (dY, W) -> dX of shape `input_shape`. */
export const convGradInputReference: ReferenceKernel = (node, inputs) => {
  const dy = inputValue(node, inputs, 0);
  const w = inputValue(node, inputs, 1);
  const dx = makeValue(dy.dtype, intsAttribute(node, 'input_shape'));
  const [from, weights, to] = [dy.data, w.data, dx.data];
  forEachRow(node, dx.dims, w.dims, (weight, input, step, out, count) => {
    const factor = weights[weight] as number;
    for (let i = 0; i < count; i++) {
      const at = input + i * step;
      to[at] = (to[at] as number) + factor * (from[out + i] as number);
    }
  });
  return [dx];
};

/** (dY, X) -> dW of shape `weight_shape`. */
export const convGradWeightReference: ReferenceKernel = (node, inputs) => {
  const dy = inputValue(node, inputs, 0);
  const x = inputValue(node, inputs, 1);
  const dw = makeValue(dy.dtype, intsAttribute(node, 'weight_shape'));
  const [grad, from, to] = [dy.data, x.data, dw.data];
  forEachRow(node, x.dims, dw.dims, (weight, input, step, out, count) => {
    let sum = to[weight] as number;
    for (let i = 0; i < count; i++) {
      sum += (grad[out + i] as number) * (from[input + i * step] as number);
    }
    to[weight] = sum;
  });
  return [dw];
};
