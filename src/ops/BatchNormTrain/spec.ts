/**
 * Batch normalisation while learning: (x, scale, bias, running_mean, running_var) ->
 * (y, batch_mean, inv_std, new_running_mean, new_running_var), per channel (axis 1).
 *   μ = mean(x), σ² = mean((x − μ)²) (biased, as ONNX says), inv_std = 1/√(σ² + ε)
 *   y = scale · (x − μ) · inv_std + bias;  new running = momentum · old + (1 − momentum) · batch
 * Ioffe & Szegedy 2015, arXiv 1502.03167.
 */
import { attr, TRAINING_DOMAIN } from '../../onnx/graph';
import { floatAttribute } from '../attributes';
import { channelDims, statisticAxes } from '../BatchNormalization/spec';
import type { Expansion, OpSpec } from '../define';
import { reshapeTo } from '../gradients';
import { dimAt, inputType, shapeError, shapeText } from '../shapes';
import { batchNormTrainReference } from './reference';

const expand: Expansion = ({ node, builder, type }) => {
  const [x, scale, bias, oldMean, oldVariance] = node.inputs;
  if (!x || !scale || !bias || !oldMean || !oldVariance) return [];
  const dims = type(x).dims;
  const wide = channelDims(dims);
  const channels = [dimAt(dims, 1)];
  const axes = builder.ints(statisticAxes(dims));
  const mean = builder.node('ReduceMean', [x, axes], { keepdims: attr.int(1) });
  const centred = builder.node('Sub', [x, mean]);
  const variance = builder.node('ReduceMean', [builder.node('Mul', [centred, centred]), axes], {
    keepdims: attr.int(1),
  });
  const epsilon = builder.scalar(floatAttribute(node, 'epsilon', 1e-5));
  const inverse = builder.node('Reciprocal', [
    builder.node('Sqrt', [builder.node('Add', [variance, epsilon])]),
  ]);
  const factor = builder.node('Mul', [inverse, reshapeTo(builder, scale, wide)]);
  const y = builder.node('Add', [
    builder.node('Mul', [centred, factor]),
    reshapeTo(builder, bias, wide),
  ]);
  const flatMean = reshapeTo(builder, mean, channels);
  const keep = floatAttribute(node, 'momentum', 0.9);
  const blend = (old: string, batch: string) =>
    builder.node('Add', [
      builder.node('Mul', [old, builder.scalar(keep)]),
      builder.node('Mul', [batch, builder.scalar(1 - keep)]),
    ]);
  return [
    y,
    flatMean,
    reshapeTo(builder, inverse, channels),
    blend(oldMean, flatMean),
    blend(oldVariance, reshapeTo(builder, variance, channels)),
  ];
};

export const batchNormTrainSpec: OpSpec = {
  name: 'BatchNormTrain',
  domain: TRAINING_DOMAIN,
  inputs: [5, 5],
  infer: (context) => {
    const x = inputType(context, 0);
    if (x.dims.length < 2) {
      throw shapeError(context.node, 'input 0', 'of rank 2 or more', shapeText(x.dims));
    }
    const channel = { dtype: x.dtype, dims: [dimAt(x.dims, 1)] };
    for (let index = 1; index < 5; index++) {
      const { dims } = inputType(context, index);
      if (dims.length !== 1 || dims[0] !== channel.dims[0]) {
        throw shapeError(context.node, `input ${index}`, shapeText(channel.dims), shapeText(dims));
      }
    }
    return [x, channel, channel, channel, channel];
  },
  reference: batchNormTrainReference,
  gradient: ({ node, builder, outputGradients, wants }) => {
    const [g] = outputGradients;
    const [x, scale] = node.inputs;
    const [, mean, inverse] = node.outputs;
    if (!g || !x || !scale || !mean || !inverse) return [];
    const grads = builder.nodes(
      'BatchNormGrad',
      [g, x, scale, mean, inverse],
      3,
      {},
      {
        domain: TRAINING_DOMAIN,
      },
    );
    return grads.map((name, index) => (wants(index) ? name : undefined));
  },
  expand,
};
