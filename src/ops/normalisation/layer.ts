/**
 * LayerNormalization (Ba, Kiros & Hinton 2016, arXiv 1607.06450) and RMSNormalization (Zhang & Sennrich 2019,
 * arXiv 1910.07467): over all axes from `axis` on, then scaled and shifted.
 *   layer: y = (x − mean) / √(var + ε) · scale + bias;  RMS: y = x / √(mean(x²) + ε) · scale
 */
import { sizeOf } from '../../core/dtype';
import { attr, TRAINING_DOMAIN } from '../../onnx/graph';
import type { Dim, Node } from '../../onnx/graph';
import { floatAttribute, intAttribute } from '../attributes';
import { numberType } from '../Cast/spec';
import type {
  Expansion,
  GradientContext,
  GradientRule,
  OpSpec,
  ReferenceKernel,
  TrainingForm,
  Value,
} from '../define';
import { cast, emitter, sumTo, trainingNode } from '../gradients';
import {
  broadcastDims,
  broadcastIndex,
  inputType,
  normalizeAxis,
  sameDims,
  shapeError,
  shapeText,
} from '../shapes';
import { inputValue, makeValue } from '../value';
import { meanOver, standardise, standardisedNodes } from './standardise';

export function axisOf(node: Node, rank: number): number {
  return normalizeAxis(node, intAttribute(node, 'axis', -1), rank);
}

/** The normalised axes cut to 1: shape of the two statistics. */
export function statisticDims<T extends Dim>(node: Node, dims: readonly T[]): (T | 1)[] {
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

/** The statistics join the outputs, so that no gradient computes them again. */
const layerInTraining: TrainingForm = ({ node, fresh }) => {
  const [y = '', mean = '', inverse = ''] = node.outputs;
  const outputs = [y, mean || fresh(`${y}/mean`), inverse || fresh(`${y}/inv_std`)];
  return { ...node, outputs };
};

/** LayerNormGrad, where it applies: parameters of the normalised shape, statistics of x's type that only y needs. */
function asOneNode(context: GradientContext): readonly (string | undefined)[] | undefined {
  const { node, builder, type, wants, outputGradients } = context;
  const [x = '', scale = '', bias = ''] = node.inputs;
  const [y = '', mean = '', inverse = ''] = node.outputs;
  const [g, ...ofStatistics] = outputGradients;
  const { dtype, dims } = type(x);
  const normalised = dims.slice(axisOf(node, dims.length));
  const plain = [scale, bias].every((name) => name === '' || sameDims(type(name).dims, normalised));
  const used = ofStatistics.some((name) => name !== undefined);
  if (g === undefined || used || !plain || stashType(node) !== dtype) return undefined;
  const names = ['dx', 'dscale', 'dbias'].map((name, index) =>
    (node.inputs[index] ?? '') !== '' && wants(index) ? `${y}/${name}` : undefined,
  );
  const attributes = { axis: attr.int(axisOf(node, dims.length)) };
  return trainingNode(builder, 'LayerNormGrad', [g, x, scale, mean, inverse], names, attributes);
}

/**
 * With n = (x − mean)·inverse and h = g·scale:  dx = inverse · (h − mean(h) − n · mean(h·n)).
 * The two statistics are outputs, so their own gradients join it:  ∂mean/∂x = 1/N, ∂inverse/∂x = −inverse²·n/N.
 */
const layerGradient: GradientRule = (context) => {
  const one = asOneNode(context);
  if (one) return one;
  const { node, builder, type, wants, outputGradients } = context;
  const [x = '', scale = '', bias = ''] = node.inputs;
  const { dtype, dims } = type(x);
  const axis = axisOf(node, dims.length);
  const axes = dims.map((_, index) => index).slice(axis);
  const e = emitter(builder, dtype);
  const own = (name: string) => (stashType(node) === dtype ? name : cast(builder, name, dtype));
  const [mean = '', inverse = ''] = node.outputs.slice(1).map(own);
  const normal = e('Mul', e('Sub', x, mean), inverse);
  const [g, gMean, gInverse] = outputGradients;
  const parts: string[] = [];
  if (g !== undefined && wants(0)) {
    const h = e('Mul', g, scale);
    const aligned = e('Mul', normal, meanOver(builder, e('Mul', h, normal), axes));
    parts.push(e('Mul', e('Sub', e('Sub', h, meanOver(builder, h, axes)), aligned), inverse));
  }
  const count = sizeOf(dims.slice(axis));
  if (gMean !== undefined) {
    parts.push(builder.node('Expand', [e('Div', own(gMean), count), builder.ints(dims)]));
  }
  if (gInverse !== undefined) {
    const slope = e('Mul', e('Mul', inverse, inverse), e('Div', own(gInverse), -count));
    parts.push(e('Mul', normal, slope));
  }
  const toScale = () => sumTo(builder, e('Mul', g ?? '', normal), dims, type(scale).dims);
  return [
    wants(0) && parts.length > 0 ? parts.reduce((sum, part) => e('Add', sum, part)) : undefined,
    wants(1) && g !== undefined ? toScale() : undefined,
    bias !== '' && wants(2) && g !== undefined
      ? sumTo(builder, g, dims, type(bias).dims)
      : undefined,
  ];
};

/** RMSNormTrain, which tells its inverse, where the scale has the normalised shape. */
const rmsInTraining: TrainingForm = ({ node, type, fresh }) => {
  const [x = '', scale = ''] = node.inputs;
  const [y = ''] = node.outputs;
  const { dtype, dims } = type(x);
  const axis = axisOf(node, dims.length);
  if (dtype !== 'float32' || !sameDims(type(scale).dims, dims.slice(axis))) return undefined;
  return {
    ...node,
    op: 'RMSNormTrain',
    domain: TRAINING_DOMAIN,
    outputs: [y, fresh(`${y}/inv_rms`)],
    attributes: new Map([
      ['axis', attr.int(axis)],
      ['epsilon', attr.float(floatAttribute(node, 'epsilon', 1e-5))],
    ]),
  };
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
  trainingForm: layerInTraining,
  gradient: layerGradient,
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
  trainingForm: rmsInTraining,
  expand: expandRms,
};
