/**
 * Gradient of RMSNormTrain: (dY, x, scale, inv_rms) -> (dX, dScale). An output without a name is not wanted.
 *   dY, x, dX      [...outer, ...N]     N = the axes from `axis` on, flat: rows × n
 *   scale, dScale  [...N]
 *   inv_rms        [...outer, 1, …, 1]
 *   attribute      axis (int, not negative)
 * With n̂ = x·inv_rms and h = dY·scale, the mean over the n elements of a row, the sum over the rows in order:
 *   dX = inv_rms·(h − n̂·mean(h·n̂)),  dScale = Σ dY·n̂
 * Zhang & Sennrich 2019, arXiv 1910.07467.
 */
import { TRAINING_DOMAIN } from '../../onnx/graph';
import type { Expansion, OpSpec, ReferenceKernel } from '../define';
import { emitter, sumTo } from '../gradients';
import { axisOf, statisticDims } from '../normalisation/layer';
import { meanOver } from '../normalisation/standardise';
import { checkInputDims, inputType } from '../shapes';
import { inputValue, makeValue } from '../value';

const reference: ReferenceKernel = (node, inputs) => {
  const [dy, x, scale, inverse] = [0, 1, 2, 3].map((index) => inputValue(node, inputs, index));
  if (!dy || !x || !scale || !inverse) return [];
  const n = scale.data.length;
  const dx = makeValue(x.dtype, x.dims);
  const dScale = makeValue(x.dtype, scale.dims);
  for (let row = 0; row < inverse.data.length; row++) {
    const inv = inverse.data[row] as number;
    let dot = 0;
    for (let i = 0; i < n; i++) {
      const shared = (dy.data[row * n + i] as number) * (x.data[row * n + i] as number) * inv;
      dot += shared * (scale.data[i] as number);
      dScale.data[i] = (dScale.data[i] as number) + shared;
    }
    for (let i = 0; i < n; i++) {
      const h = (dy.data[row * n + i] as number) * (scale.data[i] as number);
      dx.data[row * n + i] = inv * (h - ((x.data[row * n + i] as number) * inv * dot) / n);
    }
  }
  return [dx, dScale];
};

const expand: Expansion = ({ node, builder, type }) => {
  const [dy = '', x = '', scale = '', inverse = ''] = node.inputs;
  const [dx = '', dScale = ''] = node.outputs;
  const { dtype, dims } = type(x);
  const axis = axisOf(node, dims.length);
  const axes = dims.map((_, index) => index).slice(axis);
  const e = emitter(builder, dtype);
  const normal = e('Mul', x, inverse);
  const toX = () => {
    const h = e('Mul', dy, scale);
    const aligned = e('Mul', normal, meanOver(builder, e('Mul', h, normal), axes));
    return e('Mul', e('Sub', h, aligned), inverse);
  };
  return [dx && toX(), dScale && sumTo(builder, e('Mul', dy, normal), dims, dims.slice(axis))];
};

export const rmsNormGradSpec: OpSpec = {
  name: 'RMSNormGrad',
  domain: TRAINING_DOMAIN,
  inputs: [4, 4],
  infer: (context) => {
    const x = inputType(context, 1);
    const axis = axisOf(context.node, x.dims.length);
    const normalised = x.dims.slice(axis);
    checkInputDims(context, 0, 'dY', x.dims);
    checkInputDims(context, 2, 'scale', normalised);
    checkInputDims(context, 3, 'inv_rms', statisticDims(context.node, x.dims));
    return [x, { dtype: x.dtype, dims: normalised }];
  },
  reference,
  expand,
};
