import { sizeOf } from '../../core/dtype';
import type { OpSpec } from '../define';
import { scale } from '../gradients';
import { dimAt, inputType, shapeError, shapeText } from '../shapes';
import { inputValue, makeValue } from '../value';

/** Mean over all spatial axes, each kept with length 1. */
export const globalAveragePoolSpec: OpSpec = {
  name: 'GlobalAveragePool',
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
      let sum = 0;
      for (let k = 0; k < plane; k++) sum += x.data[i * plane + k] as number;
      y.data[i] = sum / plane;
    }
    return [y];
  },
  gradient: ({ node, builder, outputGradients, type }) => {
    const [g] = outputGradients;
    const [x] = node.inputs;
    if (!g || !x) return [];
    const dims = type(x).dims;
    const plane = dims.slice(2).reduce((product, _, axis) => product * dimAt(dims, axis + 2), 1);
    return [builder.node('Expand', [scale(builder, g, 1 / plane), builder.ints(dims)])];
  },
};
