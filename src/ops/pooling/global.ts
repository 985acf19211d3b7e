/** What the pools over whole planes share: the output's shape, and a figure for each plane on the reference. */
import { sizeOf } from '../../core/dtype';
import type { Dim, Node } from '../../onnx/graph';
import type { InferContext, OpSpec, ReferenceKernel } from '../define';
import { inputType, shapeError, shapeText } from '../shapes';
import { inputValue, makeValue } from '../value';

function pooled<D extends Dim>(dims: readonly D[]): (D | 1)[] {
  return dims.map((dim, axis) => (axis < 2 ? dim : 1));
}

/** Shape rule and reference kernel from the figure of one plane. */
export function wholePlanes(
  figure: (plane: Float64Array, node: Node) => number,
): Pick<OpSpec, 'domain' | 'inputs' | 'infer' | 'reference'> {
  const infer = (context: InferContext) => {
    const { dtype, dims } = inputType(context, 0);
    if (dims.length < 3) {
      throw shapeError(context.node, 'input 0', 'of rank 3 or more', shapeText(dims));
    }
    return [{ dtype, dims: pooled(dims) }];
  };
  const reference: ReferenceKernel = (node, inputs) => {
    const x = inputValue(node, inputs, 0);
    const plane = sizeOf(x.dims.slice(2));
    const y = makeValue(x.dtype, pooled(x.dims));
    for (let i = 0; i < y.data.length; i++) {
      y.data[i] = figure(x.data.subarray(i * plane, (i + 1) * plane), node);
    }
    return [y];
  };
  return { domain: '', inputs: [1, 1], infer, reference };
}
