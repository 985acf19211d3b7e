/**
 * Gradient of BatchNormTrain: (dY, x, scale, batch_mean, inv_std) -> (dX, dScale, dBias). With x̂ = (x − μ)·inv_std
 * and M values a channel:
 *   dBias = Σ dY,  dScale = Σ dY·x̂,  dX = scale·inv_std·(dY − dBias/M − x̂·dScale/M)
 */
import { attr, TRAINING_DOMAIN } from '../../onnx/graph';
import { sizeOf } from '../../core/dtype';
import { channelDims, statisticAxes } from '../BatchNormalization/spec';
import type { Expansion, OpSpec, ReferenceKernel } from '../define';
import { reshapeTo, scale as scaled } from '../gradients';
import { aroundAxis, dimAt, inputType } from '../shapes';
import { inputValue, makeValue } from '../value';

const reference: ReferenceKernel = (node, inputs) => {
  const [dy, x, scale, mean, inverse] = [0, 1, 2, 3, 4].map((index) =>
    inputValue(node, inputs, index),
  );
  if (!dy || !x || !scale || !mean || !inverse) return [];
  const { outer, length, inner } = aroundAxis(x.dims, 1);
  const count = outer * inner;
  const dx = makeValue(x.dtype, x.dims);
  const dScale = makeValue(x.dtype, [length]);
  const dBias = makeValue(x.dtype, [length]);
  for (let c = 0; c < length; c++) {
    const mu = mean.data[c] as number;
    const inv = inverse.data[c] as number;
    let sum = 0;
    let dot = 0;
    for (let n = 0; n < outer; n++) {
      const base = (n * length + c) * inner;
      for (let i = base; i < base + inner; i++) {
        sum += dy.data[i] as number;
        dot += (dy.data[i] as number) * ((x.data[i] as number) - mu) * inv;
      }
    }
    dBias.data[c] = sum;
    dScale.data[c] = dot;
    const factor = (scale.data[c] as number) * inv;
    for (let n = 0; n < outer; n++) {
      const base = (n * length + c) * inner;
      for (let i = base; i < base + inner; i++) {
        const normal = ((x.data[i] as number) - mu) * inv;
        dx.data[i] = factor * ((dy.data[i] as number) - sum / count - (normal * dot) / count);
      }
    }
  }
  return [dx, dScale, dBias];
};

const expand: Expansion = ({ node, builder, type }) => {
  const [dy, x, scale, mean, inverse] = node.inputs;
  if (!dy || !x || !scale || !mean || !inverse) return [];
  const dims = type(x).dims;
  const wide = channelDims(dims);
  const channels = [dimAt(dims, 1)];
  const count = sizeOf(dims) / dimAt(dims, 1);
  const axes = builder.ints(statisticAxes(dims));
  const sum = (value: string) =>
    builder.node('ReduceSum', [value, axes], { keepdims: attr.int(1) });
  const inverseWide = reshapeTo(builder, inverse, wide);
  const centred = builder.node('Sub', [x, reshapeTo(builder, mean, wide)]);
  const normal = builder.node('Mul', [centred, inverseWide]);
  const dBias = sum(dy);
  const dScale = sum(builder.node('Mul', [dy, normal]));
  const left = builder.node('Sub', [dy, scaled(builder, dBias, 1 / count)]);
  const right = builder.node('Mul', [normal, scaled(builder, dScale, 1 / count)]);
  const factor = builder.node('Mul', [reshapeTo(builder, scale, wide), inverseWide]);
  return [
    builder.node('Mul', [builder.node('Sub', [left, right]), factor]),
    reshapeTo(builder, dScale, channels),
    reshapeTo(builder, dBias, channels),
  ];
};

export const batchNormGradSpec: OpSpec = {
  name: 'BatchNormGrad',
  domain: TRAINING_DOMAIN,
  inputs: [5, 5],
  infer: (context) => {
    const x = inputType(context, 1);
    const channel = { dtype: x.dtype, dims: [dimAt(x.dims, 1)] };
    return [x, channel, channel];
  },
  reference,
  expand,
};
