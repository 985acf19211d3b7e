/**
 * LayerNormalization (Ba, Kiros & Hinton 2016, arXiv 1607.06450) and RMSNormalization (Zhang & Sennrich 2019,
 * arXiv 1910.07467): over all axes from `axis` on, then scaled and shifted.
 *   layer: y = (x − mean) / √(var + ε) · scale + bias;  RMS: y = x / √(mean(x²) + ε) · scale
 */
import { sizeOf } from '../../core/dtype';
import type { Dim, Node } from '../../onnx/graph';
import { floatAttribute, intAttribute } from '../attributes';
import { numberType } from '../Cast/spec';
import type { Expansion, OpSpec, ReferenceKernel, Value } from '../define';
import { cast, emitter } from '../gradients';
import { broadcastDims, broadcastIndex, inputType, normalizeAxis, shapeError } from '../shapes';
import { shapeText } from '../shapes';
import { inputValue, makeValue } from '../value';
import { meanOver, standardise, standardisedNodes } from './standardise';

function axisOf(node: Node, rank: number): number {
  return normalizeAxis(node, intAttribute(node, 'axis', -1), rank);
}

/** The normalised axes cut to 1: shape of the two statistics. */
function statisticDims<T extends Dim>(node: Node, dims: readonly T[]): (T | 1)[] {
  const axis = axisOf(node, dims.length);
  return dims.map((dim, index) => (index < axis ? dim : 1));
}

/** Type of the statistics: they are computed in it whatever x is. */
function stashType(node: Node) {
  return numberType(node, intAttribute(node, 'stash_type', 1));
}

function checkParameter(node: Node, x: readonly Dim[], port: string, dims: readonly Dim[]): void {
  if (dims.length > x.length || broadcastDims(node, x, dims).length > x.length) {
    throw shapeError(node, port, `one that fits ${shapeText(x)}`, shapeText(dims));
  }
}

function scaled(y: Value, scale: Value, bias: Value | undefined): Value {
  const scaleIndex = broadcastIndex(scale.dims, y.dims);
  const biasIndex = bias && broadcastIndex(bias.dims, y.dims);
  const data = y.data.map((value, i) => {
    const shift = bias && biasIndex ? (bias.data[biasIndex[i] as number] as number) : 0;
    return value * (scale.data[scaleIndex[i] as number] as number) + shift;
  });
  return makeValue(y.dtype, y.dims, data);
}

function reference(centre: boolean): ReferenceKernel {
  return (node, inputs) => {
    const x = inputValue(node, inputs, 0);
    const length = sizeOf(x.dims.slice(axisOf(node, x.dims.length)));
    const epsilon = floatAttribute(node, 'epsilon', 1e-5);
    const { y, mean, inverse } = standardise(x.data, length, epsilon, centre);
    const result = makeValue(x.dtype, x.dims, y);
    const out = scaled(result, inputValue(node, inputs, 1), inputs[2]);
    if (!centre) return [out];
    const dims = statisticDims(node, x.dims);
    return [out, makeValue(stashType(node), dims, mean), makeValue(stashType(node), dims, inverse)];
  };
}

const expandLayer: Expansion = ({ node, builder, type }) => {
  const [x = '', scale = '', bias = ''] = node.inputs;
  const { dtype, dims } = type(x);
  const axes = dims.map((_, axis) => axis).slice(axisOf(node, dims.length));
  const epsilon = floatAttribute(node, 'epsilon', 1e-5);
  const { y, mean, inverse } = standardisedNodes(builder, x, dtype, axes, epsilon);
  const e = emitter(builder, dtype);
  const product = e('Mul', y, scale);
  const stash = stashType(node);
  const statistic = (name: string) => (stash === dtype ? name : cast(builder, name, stash));
  const shifted = bias === '' ? product : e('Add', product, bias);
  const [, meanName = '', inverseName = ''] = node.outputs;
  return [
    shifted,
    meanName === '' ? mean : statistic(mean),
    inverseName === '' ? inverse : statistic(inverse),
  ];
};

const expandRms: Expansion = ({ node, builder, type }) => {
  const [x = '', scale = ''] = node.inputs;
  const { dtype, dims } = type(x);
  const axes = dims.map((_, axis) => axis).slice(axisOf(node, dims.length));
  const e = emitter(builder, dtype);
  const square = e(
    'Add',
    meanOver(builder, e('Mul', x, x), axes),
    floatAttribute(node, 'epsilon', 1e-5),
  );
  return [e('Mul', e('Div', x, e('Sqrt', square)), scale)];
};

export const layerNormalizationSpec: OpSpec = {
  name: 'LayerNormalization',
  domain: '',
  inputs: [2, 3],
  infer: (context) => {
    const { node } = context;
    const x = inputType(context, 0);
    checkParameter(node, x.dims, 'scale', inputType(context, 1).dims);
    const bias = context.inputs[2];
    if (bias) checkParameter(node, x.dims, 'bias', bias.dims);
    const statistic = { dtype: stashType(node), dims: statisticDims(node, x.dims) };
    return [x, statistic, statistic];
  },
  reference: reference(true),
  expand: expandLayer,
};

export const rmsNormalizationSpec: OpSpec = {
  name: 'RMSNormalization',
  domain: '',
  inputs: [2, 2],
  infer: (context) => {
    const x = inputType(context, 0);
    checkParameter(context.node, x.dims, 'scale', inputType(context, 1).dims);
    axisOf(context.node, x.dims.length);
    return [x];
  },
  reference: reference(false),
  expand: expandRms,
};
