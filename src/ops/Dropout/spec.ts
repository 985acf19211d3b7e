import { unsupported } from '../attributes';
import type { OpSpec } from '../define';
import { inputType } from '../shapes';
import { inputValue, makeValue } from '../value';

/** In a finished model dropout passes its input on; learning uses terrarium.training.DropoutTrain. */
export const dropoutSpec: OpSpec = {
  name: 'Dropout',
  domain: '',
  inputs: [1, 3],
  infer: (context) => {
    const type = inputType(context, 0);
    if (context.node.outputs.length < 2) return [type];
    return [type, { dtype: 'bool', dims: type.dims }];
  },
  reference: (node, inputs) => {
    const x = inputValue(node, inputs, 0);
    if (inputs[2]?.data[0]) throw unsupported(node, 'drops at random in a finished model');
    if (node.outputs.length < 2) return [x];
    const mask = makeValue('bool', x.dims);
    mask.data.fill(1);
    return [x, mask];
  },
  gradient: ({ outputGradients }) => [outputGradients[0]],
};
