/** Average pooling and its gradient, plane by plane. */
import type { Node } from '../../onnx/graph';
import { intAttribute, intsAttribute } from '../attributes';
import type { ReferenceKernel } from '../define';
import type { Window } from '../Conv/window';
import { windowOf } from '../Conv/window';
import { dimAt } from '../shapes';
import { inputValue, makeValue } from '../value';

/** Window of one output clipped to the picture, and 1 / (elements it is divided by). */
function cells(window: Window, oh: number, ow: number, includePad: boolean) {
  const { kernel, strides, dilations, pads, input } = window;
  const rows: number[] = [];
  const columns: number[] = [];
  for (let k = 0; k < kernel[0]; k++) {
    const h = oh * strides[0] + k * dilations[0] - pads[0];
    if (h >= 0 && h < input[0]) rows.push(h);
  }
  for (let k = 0; k < kernel[1]; k++) {
    const w = ow * strides[1] + k * dilations[1] - pads[1];
    if (w >= 0 && w < input[1]) columns.push(w);
  }
  const count = includePad ? kernel[0] * kernel[1] : rows.length * columns.length;
  return { rows, columns, share: count === 0 ? 0 : 1 / count };
}

/** Share of each input cell in each output of one plane: [OH, OW], the reciprocal of the divisor. */
export function outputShares(node: Node, window: Window): Float64Array {
  const includePad = intAttribute(node, 'count_include_pad', 0) !== 0;
  const shares = new Float64Array(window.output[0] * window.output[1]);
  for (let i = 0; i < shares.length; i++) {
    const ow = i % window.output[1];
    shares[i] = cells(window, (i - ow) / window.output[1], ow, includePad).share;
  }
  return shares;
}

type CellVisitor = (input: number, output: number, share: number) => void;

function forEachCell(node: Node, dims: readonly number[], visit: CellVisitor): void {
  const window = windowOf(node, dims);
  const includePad = intAttribute(node, 'count_include_pad', 0) !== 0;
  const planes = dimAt(dims, 0) * dimAt(dims, 1);
  const inputPlane = window.input[0] * window.input[1];
  const outputPlane = window.output[0] * window.output[1];
  for (let o = 0; o < outputPlane; o++) {
    const ow = o % window.output[1];
    const { rows, columns, share } = cells(window, (o - ow) / window.output[1], ow, includePad);
    for (let plane = 0; plane < planes; plane++) {
      for (const h of rows) {
        for (const w of columns) {
          visit(plane * inputPlane + h * window.input[1] + w, plane * outputPlane + o, share);
        }
      }
    }
  }
}

export const averagePoolReference: ReferenceKernel = (node, inputs) => {
  const x = inputValue(node, inputs, 0);
  const { output } = windowOf(node, x.dims);
  const y = makeValue(x.dtype, [dimAt(x.dims, 0), dimAt(x.dims, 1), ...output]);
  forEachCell(node, x.dims, (from, to, share) => {
    y.data[to] = (y.data[to] as number) + share * (x.data[from] as number);
  });
  return [y];
};

/** (dY) -> dX of shape `input_shape`. */
export const averagePoolGradReference: ReferenceKernel = (node, inputs) => {
  const dy = inputValue(node, inputs, 0);
  const dx = makeValue(dy.dtype, intsAttribute(node, 'input_shape'));
  forEachCell(node, dx.dims, (to, from, share) => {
    dx.data[to] = (dx.data[to] as number) + share * (dy.data[from] as number);
  });
  return [dx];
};
