/**
 * Convolution and its two gradients walk the same (weight, input row, output row) triples and differ only in
 * which of the three they add to. The row visitors are plain loops over typed arrays.
 */
import type { Node } from '../../onnx/graph';
import { sizeOf } from '../../core/dtype';
import { intAttribute, intsAttribute } from '../attributes';
import type { ReferenceKernel } from '../define';
import { dimAt } from '../shapes';
import { inputValue, makeValue } from '../value';
import { cube, validRange, windowOf } from './window';
import type { Window } from './window';

type RowVisitor = (
  weight: number,
  input: number,
  step: number,
  output: number,
  count: number,
) => void;

/** One weight position of every filter, with the output positions at which it meets the picture. */
interface Tap {
  readonly offset: readonly [number, number, number];
  readonly from: readonly [number, number, number];
  readonly to: readonly [number, number, number];
}

function tapsOf([deep, high, wide]: ReturnType<typeof cube>): Tap[] {
  const taps: Tap[] = [];
  for (let d = 0; d < deep.kernel; d++) {
    const [fromD, toD] = validRange(d, deep);
    for (let h = 0; h < high.kernel; h++) {
      const [fromH, toH] = validRange(h, high);
      for (let w = 0; w < wide.kernel; w++) {
        const [fromW, toW] = validRange(w, wide);
        taps.push({
          offset: [
            d * deep.dilation - deep.before,
            h * high.dilation - high.before,
            w * wide.dilation - wide.before,
          ],
          from: [fromD, fromH, fromW],
          to: [toD, toH, toW],
        });
      }
    }
  }
  return taps;
}

/** Calls `visit` once for each weight, image and output row that touch; offsets are in elements. */
function forEachRow(
  node: Node,
  xDims: readonly number[],
  wDims: readonly number[],
  window: Window,
  visit: RowVisitor,
): void {
  const [batch, channels] = [dimAt(xDims, 0), dimAt(xDims, 1)];
  const [filters, groupChannels] = [dimAt(wDims, 0), dimAt(wDims, 1)];
  const axes = cube(window);
  const [deep, high, wide] = axes;
  const taps = tapsOf(axes);
  const filtersPerGroup = filters / intAttribute(node, 'group', 1);
  const inputPlane = deep.input * high.input * wide.input;
  const outputPlane = deep.output * high.output * wide.output;
  for (let n = 0; n < batch; n++) {
    for (let m = 0; m < filters; m++) {
      const firstChannel = Math.floor(m / filtersPerGroup) * groupChannels;
      const plane = (n * filters + m) * outputPlane;
      for (let c = 0; c < groupChannels; c++) {
        const image = (n * channels + firstChannel + c) * inputPlane;
        let weight = (m * groupChannels + c) * taps.length;
        for (const { offset, from, to } of taps) {
          const count = to[2] - from[2];
          for (let od = from[0]; od < to[0]; od++) {
            const slice = (od * deep.stride + offset[0]) * high.input;
            for (let oh = from[1]; oh < to[1]; oh++) {
              const row = image + (slice + oh * high.stride + offset[1]) * wide.input;
              const start = row + from[2] * wide.stride + offset[2];
              const line = plane + (od * high.output + oh) * wide.output + from[2];
              visit(weight, start, wide.stride, line, count);
            }
          }
          weight++;
        }
      }
    }
  }
}

export const convReference: ReferenceKernel = (node, inputs) => {
  const x = inputValue(node, inputs, 0);
  const w = inputValue(node, inputs, 1);
  const bias = inputs[2];
  const window = windowOf(node, x.dims, w.dims.slice(2));
  const output = window.map((axis) => axis.output);
  const filters = dimAt(w.dims, 0);
  const y = makeValue(x.dtype, [dimAt(x.dims, 0), filters, ...output]);
  if (bias) {
    const plane = sizeOf(output);
    for (let at = 0; at < y.data.length; at += plane) {
      y.data.fill(bias.data[(at / plane) % filters] as number, at, at + plane);
    }
  }
  const [from, weights, to] = [x.data, w.data, y.data];
  forEachRow(node, x.dims, w.dims, window, (weight, input, step, out, count) => {
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
  const window = windowOf(node, dx.dims, w.dims.slice(2));
  const [from, weights, to] = [dy.data, w.data, dx.data];
  forEachRow(node, dx.dims, w.dims, window, (weight, input, step, out, count) => {
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
  const window = windowOf(node, x.dims, dw.dims.slice(2));
  const [grad, from, to] = [dy.data, x.data, dw.data];
  forEachRow(node, x.dims, dw.dims, window, (weight, input, step, out, count) => {
    let sum = to[weight] as number;
    for (let i = 0; i < count; i++) {
      sum += (grad[out + i] as number) * (from[input + i * step] as number);
    }
    to[weight] = sum;
  });
  return [dw];
};
