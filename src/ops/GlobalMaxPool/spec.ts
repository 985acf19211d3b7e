import { sizeOf } from '../../core/dtype';
import { attr } from '../../onnx/graph';
import type { GradientRule, OpSpec } from '../define';
import { reshapeTo } from '../gradients';
import { dimAt, inputType, shapeError, shapeText } from '../shapes';
import { inputValue, makeValue } from '../value';

/** To the first maximum of each plane, as in MaxPool. */
const gradient: GradientRule = ({ node, builder, outputGradients, type }) => {
  const [g] = outputGradients;
  const [x = ''] = node.inputs;
  if (!g) return [];
  const dims = type(x).dims;
  const plane = sizeOf(dims.slice(2));
  const planes = dimAt(dims, 0) * dimAt(dims, 1);
  const winner = builder.node('ArgMax', [reshapeTo(builder, x, [planes, plane])], {
    axis: attr.int(1),
    keepdims: attr.int(0),
  });
  const values = builder.constant('float32', [2], [0, 1]);
  const hot = builder.node('OneHot', [winner, builder.ints([plane]), values]); // [planes, plane]
  const spread = builder.node('Mul', [hot, reshapeTo(builder, g, [planes, 1])]);
  return [reshapeTo(builder, spread, dims)];
};

/** Maximum over all spatial axes, each kept with length 1. */
export const globalMaxPoolSpec: OpSpec = {
  name: 'GlobalMaxPool',
  domain: '',
  inputs: [1, 1],
  infer: (context) => {
    const { dtype, dims } = inputType(context, 0);
    if (dims.length < 3) {
      throw shapeError(context.node, 'input 0', 'of rank 3 or more', shapeText(dims));
    }
    return [{ dtype, dims: dims.map((dim, axis) => (axis < 2 ? dim : 1)) }];
  },
  reference: (node, inputs) => {
    const x = inputValue(node, inputs, 0);
    const plane = sizeOf(x.dims.slice(2));
    const y = makeValue(
      x.dtype,
      x.dims.map((dim, axis) => (axis < 2 ? dim : 1)),
    );
    for (let i = 0; i < y.data.length; i++) {
      let most = -Infinity;
      for (let k = 0; k < plane; k++) {
        const value = x.data[i * plane + k] as number;
        if (value > most || Number.isNaN(value)) most = value;
        if (Number.isNaN(value)) break;
      }
      y.data[i] = most;
    }
    return [y];
  },
  gradient,
  expand: ({ node, builder, type }) => {
    const [x = ''] = node.inputs;
    const axes = builder.ints(
      type(x)
        .dims.slice(2)
        .map((_, axis) => axis + 2),
    );
    return [builder.node('ReduceMax', [x, axes], { keepdims: attr.int(1) })];
  },
};
