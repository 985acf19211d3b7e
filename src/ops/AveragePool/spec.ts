import { attr, TRAINING_DOMAIN } from '../../onnx/graph';
import { intAttribute } from '../attributes';
import { windowAttributes } from '../Conv/gradient';
import { windowOf } from '../Conv/window';
import type { OpSpec } from '../define';
import { dimAt, inputType } from '../shapes';
import { averagePoolReference } from './reference';

export const averagePoolSpec: OpSpec = {
  name: 'AveragePool',
  domain: '',
  inputs: [1, 1],
  infer: (context) => {
    const { dtype, dims } = inputType(context, 0);
    const { output } = windowOf(context.node, dims);
    return [{ dtype, dims: [dimAt(dims, 0), dimAt(dims, 1), ...output] }];
  },
  reference: averagePoolReference,
  gradient: ({ node, builder, outputGradients, type }) => {
    const [g] = outputGradients;
    const [x] = node.inputs;
    if (!g || !x) return [];
    const dims = type(x).dims;
    return [
      builder.node(
        'AveragePoolGrad',
        [g],
        {
          ...windowAttributes(windowOf(node, dims)),
          count_include_pad: attr.int(intAttribute(node, 'count_include_pad', 0)),
          input_shape: attr.ints(dims),
        },
        { domain: TRAINING_DOMAIN },
      ),
    ];
  },
};
