/**
 * Gradient of Softmax: (dY, y) -> dX, all of one shape; attribute axis (int, not negative).
 *   dX = y·(dY − Σ dY·y), the sum along `axis`, in order
 */
import { attr, TRAINING_DOMAIN } from '../../onnx/graph';
import { intAttribute } from '../attributes';
import type { OpSpec } from '../define';
import { emitter } from '../gradients';
import { aroundAxis, checkInputDims, inputType, normalizeAxis } from '../shapes';
import { inputValue, makeValue } from '../value';

export const softmaxGradSpec: OpSpec = {
  name: 'SoftmaxGrad',
  domain: TRAINING_DOMAIN,
  inputs: [2, 2],
  infer: (context) => {
    const y = inputType(context, 1);
    checkInputDims(context, 0, 'dY', y.dims);
    normalizeAxis(context.node, intAttribute(context.node, 'axis'), y.dims.length);
    return [y];
  },
  reference: (node, inputs) => {
    const dy = inputValue(node, inputs, 0);
    const y = inputValue(node, inputs, 1);
    const { outer, length, inner } = aroundAxis(y.dims, intAttribute(node, 'axis'));
    const dx = makeValue(y.dtype, y.dims);
    for (let row = 0; row < outer * inner; row++) {
      const base = Math.floor(row / inner) * length * inner + (row % inner);
      let sum = 0;
      for (let k = 0; k < length; k++) {
        sum += (dy.data[base + k * inner] as number) * (y.data[base + k * inner] as number);
      }
      for (let k = 0; k < length; k++) {
        const at = base + k * inner;
        dx.data[at] = (y.data[at] as number) * ((dy.data[at] as number) - sum);
      }
    }
    return [dx];
  },
  expand: ({ node, builder, type }) => {
    const [dy = '', y = ''] = node.inputs;
    const e = emitter(builder, type(y).dtype);
    const axes = builder.ints([intAttribute(node, 'axis')]);
    const sum = builder.node('ReduceSum', [e('Mul', dy, y), axes], { keepdims: attr.int(1) });
    return [e('Mul', y, e('Sub', dy, sum))];
  },
};
