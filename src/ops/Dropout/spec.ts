/**
 * Dropout (Srivastava et al. 2014). In a finished model it passes its input on; a run in training mode drops by
 * Philox numbers of the node's seed, the same at every call. Learning uses terrarium.training.DropoutTrain.
 */
import { PhiloxStream } from '../../core/philox';
import { intAttribute, unsupported } from '../attributes';
import type { OpSpec } from '../define';
import { inputType } from '../shapes';
import { inputValue, makeValue } from '../value';

const DEFAULT_RATIO = 0.5;

export const dropoutSpec: OpSpec = {
  name: 'Dropout',
  domain: '',
  inputs: [1, 3],
  infer: (context) => {
    const type = inputType(context, 0);
    return [type, { dtype: 'bool', dims: type.dims }];
  },
  reference: (node, inputs) => {
    const x = inputValue(node, inputs, 0);
    const ratio = inputs[1]?.data[0] ?? DEFAULT_RATIO;
    const mask = makeValue('bool', x.dims);
    if (!inputs[2]?.data[0] || ratio === 0) {
      mask.data.fill(1);
      return [x, mask];
    }
    const random = new PhiloxStream(intAttribute(node, 'seed', 0), `dropout/${node.name}`);
    const scale = ratio < 1 ? 1 / (1 - ratio) : 0;
    const y = makeValue(x.dtype, x.dims);
    x.data.forEach((value, index) => {
      const kept = random.uniform() >= ratio;
      mask.data[index] = kept ? 1 : 0;
      if (kept) y.data[index] = value * scale;
    });
    return [y, mask];
  },
  gradient: ({ node, outputGradients, constant }) => {
    const training = node.inputs[2] ? constant(2) : undefined;
    if (node.inputs[2] && (!training || training.data[0])) {
      throw unsupported(node, 'drops at random by itself, where learning feeds masks');
    }
    return [outputGradients[0]];
  },
};
