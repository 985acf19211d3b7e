import { attr, TRAINING_DOMAIN } from '../../onnx/graph';
import { windowOf } from '../Conv/window';
import type { OpSpec } from '../define';
import { includesPad, poolAttributes, pooledDims } from '../pooling/attributes';
import { inputType } from '../shapes';
import { averagePoolReference } from './reference';

export const averagePoolSpec: OpSpec = {
  name: 'AveragePool',
  domain: '',
  inputs: [1, 1],
  infer: (context) => {
    const { dtype, dims } = inputType(context, 0);
    return [{ dtype, dims: pooledDims(context.node, dims) }];
  },
  reference: averagePoolReference,
  gradient: ({ node, builder, outputGradients, type }) => {
    const [g] = outputGradients;
    const [x] = node.inputs;
    if (!g || !x) return [];
    const dims = type(x).dims;
    const attributes = {
      ...poolAttributes(node, windowOf(node, dims)),
      count_include_pad: attr.int(includesPad(node) ? 1 : 0),
      input_shape: attr.ints(dims),
    };
    return [builder.node('AveragePoolGrad', [g], attributes, { domain: TRAINING_DOMAIN })];
  },
};
