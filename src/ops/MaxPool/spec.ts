import { TRAINING_DOMAIN } from '../../onnx/graph';
import { intAttribute, unsupported } from '../attributes';
import { windowAttributes } from '../Conv/gradient';
import { windowOf } from '../Conv/window';
import type { OpSpec } from '../define';
import { dimAt, inputType } from '../shapes';
import { maxPoolReference } from './reference';

export const maxPoolSpec: OpSpec = {
  name: 'MaxPool',
  domain: '',
  inputs: [1, 1],
  infer: (context) => {
    const { node } = context;
    const { dtype, dims } = inputType(context, 0);
    if (intAttribute(node, 'storage_order', 0) !== 0) throw unsupported(node, 'uses storage_order');
    const { output } = windowOf(node, dims);
    const pooled = [dimAt(dims, 0), dimAt(dims, 1), ...output];
    const value = { dtype, dims: pooled };
    return node.outputs.length < 2 ? [value] : [value, { dtype: 'int64', dims: pooled }];
  },
  reference: maxPoolReference,
  gradient: ({ node, builder, outputGradients, type }) => {
    const [g] = outputGradients;
    const [x] = node.inputs;
    if (!g || !x) return [];
    return [
      builder.node('MaxPoolGrad', [g, x], windowAttributes(windowOf(node, type(x).dims)), {
        domain: TRAINING_DOMAIN,
      }),
    ];
  },
};
