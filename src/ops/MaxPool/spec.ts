import { TRAINING_DOMAIN } from '../../onnx/graph';
import { windowOf } from '../Conv/window';
import type { OpSpec } from '../define';
import { pooledDims, poolAttributes } from '../pooling/attributes';
import { inputType } from '../shapes';
import { maxPoolReference } from './reference';

export const maxPoolSpec: OpSpec = {
  name: 'MaxPool',
  domain: '',
  inputs: [1, 1],
  infer: (context) => {
    const { node } = context;
    const { dtype, dims } = inputType(context, 0);
    const pooled = pooledDims(node, dims);
    const value = { dtype, dims: pooled };
    return node.outputs.length < 2 ? [value] : [value, { dtype: 'int64', dims: pooled }];
  },
  reference: maxPoolReference,
  gradient: ({ node, builder, outputGradients, type }) => {
    const [g] = outputGradients;
    const [x] = node.inputs;
    if (!g || !x) return [];
    const attributes = poolAttributes(node, windowOf(node, type(x).dims));
    return [builder.node('MaxPoolGrad', [g, x], attributes, { domain: TRAINING_DOMAIN })];
  },
};
