/**
 * Batch normalisation with running statistics (Ioffe & Szegedy 2015, arXiv 1502.03167):
 *   y = scale · (x − mean) / √(var + ε) + bias, per channel (axis 1).
 * Learning uses terrarium.training.BatchNormTrain in its place.
 */
import { attr } from '../../onnx/graph';
import { floatAttribute, intAttribute, unsupported } from '../attributes';
import type { GradientRule, OpSpec } from '../define';
import { reshapeTo } from '../gradients';
import { aroundAxis, dimAt, inputType, shapeError, shapeText } from '../shapes';
import { inputValue, makeValue } from '../value';

/** [1, C, 1, …]: a per-channel vector beside a tensor of this rank. */
export function channelDims(dims: readonly number[]): number[] {
  return dims.map((dim, axis) => (axis === 1 ? dim : 1));
}

/** All axes but the channels. */
export function statisticAxes(dims: readonly number[]): number[] {
  return dims.map((_, axis) => axis).filter((axis) => axis !== 1);
}

const gradient: GradientRule = ({ node, builder, outputGradients, type, wants }) => {
  const [g] = outputGradients;
  const [x, scale, bias, mean, variance] = node.inputs;
  if (!g || !x || !scale || !bias || !mean || !variance) return [];
  const dims = type(x).dims;
  const wide = channelDims(dims);
  const epsilon = builder.scalar(floatAttribute(node, 'epsilon', 1e-5));
  const deviation = builder.node('Sqrt', [builder.node('Add', [variance, epsilon])]);
  const sum = (value: string) =>
    builder.node('ReduceSum', [value, builder.ints(statisticAxes(dims))], {
      keepdims: attr.int(0),
    });
  const dx = () => {
    const factor = reshapeTo(builder, builder.node('Div', [scale, deviation]), wide);
    return builder.node('Mul', [g, factor]);
  };
  const dScale = () => {
    const centred = builder.node('Sub', [x, reshapeTo(builder, mean, wide)]);
    return builder.node('Div', [sum(builder.node('Mul', [g, centred])), deviation]);
  };
  if (wants(3) || wants(4)) {
    throw unsupported(node, 'is asked for gradients of its running statistics');
  }
  return [
    wants(0) ? dx() : undefined,
    wants(1) ? dScale() : undefined,
    wants(2) ? sum(g) : undefined,
  ];
};

export const batchNormalizationSpec: OpSpec = {
  name: 'BatchNormalization',
  domain: '',
  inputs: [5, 5],
  infer: (context) => {
    const { node } = context;
    const x = inputType(context, 0);
    if (intAttribute(node, 'training_mode', 0) !== 0)
      throw unsupported(node, 'is in training mode');
    if (x.dims.length < 2)
      throw shapeError(node, 'input 0', 'of rank 2 or more', shapeText(x.dims));
    const channels = dimAt(x.dims, 1);
    for (let index = 1; index < 5; index++) {
      const { dims } = inputType(context, index);
      if (dims.length !== 1 || (typeof channels === 'number' && dims[0] !== channels)) {
        throw shapeError(node, `input ${index}`, shapeText([channels]), shapeText(dims));
      }
    }
    return [x];
  },
  reference: (node, inputs) => {
    const x = inputValue(node, inputs, 0);
    const [scale, bias, mean, variance] = [1, 2, 3, 4].map(
      (index) => inputValue(node, inputs, index).data,
    );
    const epsilon = floatAttribute(node, 'epsilon', 1e-5);
    const { outer, length, inner } = aroundAxis(x.dims, 1);
    const y = makeValue(x.dtype, x.dims);
    for (let n = 0; n < outer; n++) {
      for (let c = 0; c < length; c++) {
        const factor = (scale?.[c] as number) / Math.sqrt((variance?.[c] as number) + epsilon);
        const shift = (bias?.[c] as number) - factor * (mean?.[c] as number);
        const base = (n * length + c) * inner;
        for (let i = base; i < base + inner; i++)
          y.data[i] = factor * (x.data[i] as number) + shift;
      }
    }
    return [y];
  },
  gradient,
};
