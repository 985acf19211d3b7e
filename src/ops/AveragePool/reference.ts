/** Average pooling and its gradient, plane by plane. */
import { sizeOf } from '../../core/dtype';
import type { Node } from '../../onnx/graph';
import { intsAttribute } from '../attributes';
import { windowOf } from '../Conv/window';
import type { ReferenceKernel } from '../define';
import { includesPad, pooledDims } from '../pooling/attributes';
import { forEachWindow, sharesOf } from '../pooling/positions';
import { dimAt } from '../shapes';
import { inputValue, makeValue } from '../value';

type CellVisitor = (input: number, output: number, share: number) => void;

function forEachCell(node: Node, dims: readonly number[], visit: CellVisitor): void {
  const window = windowOf(node, dims);
  const shares = sharesOf(window, includesPad(node));
  const planes = dimAt(dims, 0) * dimAt(dims, 1);
  const plane = sizeOf(dims.slice(2));
  forEachWindow(window, (output, elements) => {
    const share = shares[output] as number;
    for (let p = 0; p < planes; p++) {
      for (const element of elements) {
        visit(p * plane + element, p * shares.length + output, share);
      }
    }
  });
}

export const averagePoolReference: ReferenceKernel = (node, inputs) => {
  const x = inputValue(node, inputs, 0);
  const y = makeValue(x.dtype, pooledDims(node, x.dims) as number[]);
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
