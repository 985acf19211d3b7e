/**
 * Gradient of SoftmaxCrossEntropy for the logits: (g [], probabilities [B, K], labels [B], sample_weight [B]) ->
 * dLogits[i, k] = g · wᵢ · (p[i, k] − [k = labelᵢ]).
 */
import { TRAINING_DOMAIN } from '../../onnx/graph';
import type { OpSpec } from '../define';
import { reshapeTo } from '../gradients';
import { dimAt, inputType } from '../shapes';
import { oneHot } from '../SoftmaxCrossEntropy/spec';
import { inputValue, makeValue } from '../value';

export const softmaxCrossEntropyGradSpec: OpSpec = {
  name: 'SoftmaxCrossEntropyGrad',
  domain: TRAINING_DOMAIN,
  inputs: [4, 4],
  infer: (context) => [inputType(context, 1)],
  reference: (node, inputs) => {
    const g = inputValue(node, inputs, 0).data[0] as number;
    const p = inputValue(node, inputs, 1);
    const labels = inputValue(node, inputs, 2);
    const weights = inputValue(node, inputs, 3);
    const classes = dimAt(p.dims, 1);
    const out = makeValue(p.dtype, p.dims);
    for (let i = 0; i < labels.data.length; i++) {
      const factor = g * (weights.data[i] as number);
      for (let k = 0; k < classes; k++) {
        const hit = k === labels.data[i] ? 1 : 0;
        out.data[i * classes + k] = factor * ((p.data[i * classes + k] as number) - hit);
      }
    }
    return [out];
  },
  expand: ({ node, builder, type }) => {
    const [g, p, labels, weights] = node.inputs;
    if (!g || !p || !labels || !weights) return [];
    const [rows, classes] = type(p).dims;
    const difference = builder.node('Sub', [p, oneHot(builder, labels, classes ?? 0)]);
    const factor = reshapeTo(builder, builder.node('Mul', [weights, g]), [rows ?? 0, 1]);
    return [builder.node('Mul', [difference, factor])];
  },
};
