import type { Dim, Node } from '../../onnx/graph';
import { intAttribute } from '../attributes';
import type { OpSpec } from '../define';
import { dimAt, inputType, shapeError, shapeText } from '../shapes';
import { convGradient } from './gradient';
import { convReference } from './reference';
import { windowDims } from './window';

/** Output shape of a convolution, with channels and groups checked. */
export function convDims(node: Node, x: readonly Dim[], w: readonly Dim[]): Dim[] {
  if (w.length !== x.length) {
    throw shapeError(node, 'the weight', `of rank ${x.length}, as the input is`, shapeText(w));
  }
  const output = windowDims(node, x, w.slice(2));
  const group = intAttribute(node, 'group', 1);
  const channels = dimAt(x, 1);
  const filters = dimAt(w, 0);
  const perGroup = dimAt(w, 1);
  if (typeof channels === 'number' && typeof perGroup === 'number') {
    if (channels !== perGroup * group) {
      throw shapeError(node, 'input 0', `${perGroup * group} channels`, shapeText(x));
    }
  }
  if (typeof filters === 'number' && filters % group !== 0) {
    throw shapeError(node, 'the weight', `a multiple of ${group} filters`, shapeText(w));
  }
  return [dimAt(x, 0), filters, ...output];
}

export const convSpec: OpSpec = {
  name: 'Conv',
  domain: '',
  inputs: [2, 3],
  infer: (context) => {
    const x = inputType(context, 0);
    const w = inputType(context, 1);
    return [{ dtype: x.dtype, dims: convDims(context.node, x.dims, w.dims) }];
  },
  reference: convReference,
  gradient: convGradient,
};
