/**
 * Dropout while learning (Srivastava et al. 2014): y = x · mask. The mask is fed, 0 or 1/(1 − ratio), so that
 * every executor drops the same elements.
 */
import { TRAINING_DOMAIN } from '../../onnx/graph';
import type { OpSpec } from '../define';
import { inputType, sameDims, shapeError, shapeText } from '../shapes';
import { inputValue, makeValue } from '../value';

export const dropoutTrainSpec: OpSpec = {
  name: 'DropoutTrain',
  domain: TRAINING_DOMAIN,
  inputs: [2, 2],
  infer: (context) => {
    const x = inputType(context, 0);
    const mask = inputType(context, 1);
    if (!sameDims(x.dims, mask.dims)) {
      throw shapeError(context.node, 'the mask', shapeText(x.dims), shapeText(mask.dims));
    }
    return [x];
  },
  reference: (node, inputs) => {
    const x = inputValue(node, inputs, 0);
    const mask = inputValue(node, inputs, 1);
    const data = x.data.map((value, index) => value * (mask.data[index] as number));
    return [makeValue(x.dtype, x.dims, data)];
  },
  gradient: ({ node, builder, outputGradients }) => {
    const [g] = outputGradients;
    const mask = node.inputs[1];
    return [g && mask ? builder.node('Mul', [g, mask]) : undefined];
  },
  expand: ({ node, builder }) => [builder.node('Mul', node.inputs)],
};
