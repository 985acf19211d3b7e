/**
 * RMSNormalization that also tells by what it divided: (x, scale) -> (y, inv_rms).
 *   x, y      [...outer, ...N]     N = the axes from `axis` on, flat: rows × n
 *   scale     [...N]
 *   inv_rms   [...outer, 1, …, 1]
 *   attributes axis (int, not negative), epsilon (float, 1e-5)
 *   inv_rms = 1 / √(mean(x²) + ε),  y = x · inv_rms · scale
 * Zhang & Sennrich 2019, arXiv 1910.07467. `differentiate` puts it in the place of RMSNormalization.
 */
import { TRAINING_DOMAIN } from '../../onnx/graph';
import { floatAttribute } from '../attributes';
import type { Expansion, GradientRule, OpSpec, ReferenceKernel } from '../define';
import { emitter, trainingNode } from '../gradients';
import { axisOf, statisticDims } from '../normalisation/layer';
import { meanOver, standardise } from '../normalisation/standardise';
import { checkInputDims, inputType } from '../shapes';
import { inputValue, makeValue } from '../value';

const reference: ReferenceKernel = (node, inputs) => {
  const x = inputValue(node, inputs, 0);
  const scale = inputValue(node, inputs, 1).data;
  const epsilon = floatAttribute(node, 'epsilon', 1e-5);
  const { y, inverse } = standardise(x.data, scale.length, epsilon, false);
  const scaled = y.map((value, i) => value * (scale[i % scale.length] as number));
  return [
    makeValue(x.dtype, x.dims, scaled),
    makeValue(x.dtype, statisticDims(node, x.dims), inverse),
  ];
};

const expand: Expansion = ({ node, builder, type }) => {
  const [x = '', scale = ''] = node.inputs;
  const { dtype, dims } = type(x);
  const axes = dims.map((_, axis) => axis).slice(axisOf(node, dims.length));
  const e = emitter(builder, dtype);
  const epsilon = floatAttribute(node, 'epsilon', 1e-5);
  const square = e('Add', meanOver(builder, e('Mul', x, x), axes), epsilon);
  const inverse = e('Reciprocal', e('Sqrt', square));
  return [e('Mul', e('Mul', x, inverse), scale), inverse];
};

const gradient: GradientRule = ({ node, builder, outputGradients, wants }) => {
  const [g] = outputGradients;
  const [x = '', scale = ''] = node.inputs;
  const [y = '', inverse = ''] = node.outputs;
  if (g === undefined) return [];
  const names = ['dx', 'dscale'].map((name, index) => (wants(index) ? `${y}/${name}` : undefined));
  const attributes = Object.fromEntries([...node.attributes].filter(([name]) => name === 'axis'));
  return trainingNode(builder, 'RMSNormGrad', [g, x, scale, inverse], names, attributes);
};

export const rmsNormTrainSpec: OpSpec = {
  name: 'RMSNormTrain',
  domain: TRAINING_DOMAIN,
  inputs: [2, 2],
  infer: (context) => {
    const x = inputType(context, 0);
    const axis = axisOf(context.node, x.dims.length);
    checkInputDims(context, 1, 'scale', x.dims.slice(axis));
    return [x, { dtype: x.dtype, dims: statisticDims(context.node, x.dims) }];
  },
  reference,
  gradient,
  expand,
};
