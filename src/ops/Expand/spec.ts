import type { Dim } from '../../onnx/graph';
import type { OpSpec } from '../define';
import { sumTo } from '../gradients';
import { broadcastDims, broadcastIndex, broadcastStatic, inputType, shapeError } from '../shapes';
import { inputValue, makeValue } from '../value';

export const expandSpec: OpSpec = {
  name: 'Expand',
  domain: '',
  inputs: [2, 2],
  infer: (context) => {
    const { node } = context;
    const { dtype, dims } = inputType(context, 0);
    const shape = context.elements(1);
    if (shape) return [{ dtype, dims: broadcastDims(node, dims, shape) }];
    const rank = inputType(context, 1).dims[0];
    if (typeof rank !== 'number') throw shapeError(node, 'the shape', 'of known rank', 'symbolic');
    const length = Math.max(rank, dims.length);
    return [{ dtype, dims: Array.from({ length }, (_, axis): Dim => `${node.name}_${axis}`) }];
  },
  reference: (node, inputs) => {
    const x = inputValue(node, inputs, 0);
    const shape = Array.from(inputValue(node, inputs, 1).data);
    const y = makeValue(x.dtype, broadcastStatic(node, x.dims, shape));
    const index = broadcastIndex(x.dims, y.dims);
    for (let i = 0; i < index.length; i++) y.data[i] = x.data[index[i] as number] as number;
    return [y];
  },
  gradient: ({ node, builder, outputGradients, type }) => {
    const [g] = outputGradients;
    const [x] = node.inputs;
    const [y] = node.outputs;
    return [g && x && y ? sumTo(builder, g, type(y).dims, type(x).dims) : undefined];
  },
};
