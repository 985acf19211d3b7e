/**
 * SoftmaxCrossEntropyLoss: (scores [N, C, d…], labels [N, d…], weight [C]?) -> (loss, log-probabilities?).
 *   log p = log softmax(scores) over the classes, loss = NegativeLogLikelihoodLoss(log p, labels, weight)
 * The same as torch.nn.CrossEntropyLoss.
 */
import { attr } from '../../onnx/graph';
import type { OpSpec } from '../define';
import { makeNode } from '../nodes';
import { inputType } from '../shapes';
import { softmax } from '../Softmax/spec';
import { inputValue } from '../value';
import { expandLikelihood, lossType, negativeLogLikelihood } from './likelihood';

const OVER_CLASSES = { axis: attr.int(1) };

export const softmaxCrossEntropyLossSpec: OpSpec = {
  name: 'SoftmaxCrossEntropyLoss',
  domain: '',
  inputs: [2, 3],
  infer: (context) => [lossType(context), inputType(context, 0)],
  reference: (node, inputs) => {
    const scores = inputValue(node, inputs, 0);
    const logP = softmax(makeNode('LogSoftmax', [], OVER_CLASSES), scores, true);
    return [negativeLogLikelihood(node, logP, inputValue(node, inputs, 1), inputs[2]), logP];
  },
  expand: (context) => {
    const [scores = ''] = context.node.inputs;
    const logP = context.builder.node('LogSoftmax', [scores], OVER_CLASSES);
    return [expandLikelihood(context, logP, scores), logP];
  },
};
