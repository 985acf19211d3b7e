/**
 * Batch normalisation with running statistics (Ioffe & Szegedy 2015, arXiv 1502.03167):
 *   y = scale · (x − mean) / √(var + ε) + bias, per channel (axis 1).
 * With `training_mode` it is terrarium.training.BatchNormTrain, which learning uses in its place.
 */
import { attr, TRAINING_DOMAIN } from '../../onnx/graph';
import type { GraphBuilder } from '../../onnx/builder';
import type { Node } from '../../onnx/graph';
import { floatAttribute, intAttribute, unsupported } from '../attributes';
import { batchNormTrainReference } from '../BatchNormTrain/reference';
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

function trains(node: Node): boolean {
  return intAttribute(node, 'training_mode', 0) !== 0;
}

const SETTINGS = ['epsilon', 'momentum'];

/** The training operator with this node's inputs and settings, as five values. */
function trainingNodes(node: Node, builder: GraphBuilder): readonly string[] {
  const settings = [...node.attributes].filter(([name]) => SETTINGS.includes(name));
  const options = { domain: TRAINING_DOMAIN };
  return builder.nodes('BatchNormTrain', node.inputs, 5, Object.fromEntries(settings), options);
}

const gradient: GradientRule = ({ node, builder, outputGradients, type, wants }) => {
  const [g] = outputGradients;
  const [x, scale, bias, mean, variance] = node.inputs;
  if (!g || !x || !scale || !bias || !mean || !variance) return [];
  if (trains(node)) {
    const [, batchMean = '', inverse = ''] = trainingNodes(node, builder);
    const inputs = [g, x, scale, batchMean, inverse];
    return builder.nodes('BatchNormGrad', inputs, 3, {}, { domain: TRAINING_DOMAIN });
  }
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
    if (x.dims.length < 2)
      throw shapeError(node, 'input 0', 'of rank 2 or more', shapeText(x.dims));
    const channels = dimAt(x.dims, 1);
    for (let index = 1; index < 5; index++) {
      const { dims } = inputType(context, index);
      if (dims.length !== 1 || (typeof channels === 'number' && dims[0] !== channels)) {
        throw shapeError(node, `input ${index}`, shapeText([channels]), shapeText(dims));
      }
    }
    return trains(node) ? [x, inputType(context, 3), inputType(context, 4)] : [x];
  },
  reference: (node, inputs, scope) => {
    if (trains(node)) {
      const [y, , , mean, variance] = batchNormTrainReference(node, inputs, scope);
      return y && mean && variance ? [y, mean, variance] : [];
    }
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
