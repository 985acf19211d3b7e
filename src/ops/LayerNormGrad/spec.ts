/**
 * Gradient of LayerNormalization: (dY, x, scale, mean, inv_std) -> (dX, dScale, dBias). An output without a name is
 * not wanted.
 *   dY, x, dX        [...outer, ...N]     N = the axes from `axis` on, flat: rows × n
 *   scale, dScale, dBias          [...N]
 *   mean, inv_std    [...outer, 1, …, 1]  as LayerNormalization gives them
 *   attribute        axis (int, not negative)
 * With n̂ = (x − mean)·inv_std and h = dY·scale, means over the n elements of a row, sums over the rows in order:
 *   dX = inv_std·(h − mean(h) − n̂·mean(h·n̂)),  dScale = Σ dY·n̂,  dBias = Σ dY
 * Ba, Kiros & Hinton 2016, arXiv 1607.06450.
 */
import { TRAINING_DOMAIN } from '../../onnx/graph';
import type { Expansion, OpSpec, ReferenceKernel } from '../define';
import { emitter, sumTo } from '../gradients';
import { axisOf, statisticDims } from '../normalisation/layer';
import { meanOver } from '../normalisation/standardise';
import { checkInputDims, inputType } from '../shapes';
import { inputValue, makeValue } from '../value';

const reference: ReferenceKernel = (node, inputs) => {
  const [dy, x, scale, mean, inverse] = [0, 1, 2, 3, 4].map((index) =>
    inputValue(node, inputs, index),
  );
  if (!dy || !x || !scale || !mean || !inverse) return [];
  const n = scale.data.length;
  const dx = makeValue(x.dtype, x.dims);
  const dScale = makeValue(x.dtype, scale.dims);
  const dBias = makeValue(x.dtype, scale.dims);
  for (let row = 0; row < mean.data.length; row++) {
    const mu = mean.data[row] as number;
    const inv = inverse.data[row] as number;
    let sum = 0;
    let dot = 0;
    for (let i = 0; i < n; i++) {
      const g = dy.data[row * n + i] as number;
      const normal = ((x.data[row * n + i] as number) - mu) * inv;
      const h = g * (scale.data[i] as number);
      sum += h;
      dot += h * normal;
      dScale.data[i] = (dScale.data[i] as number) + g * normal;
      dBias.data[i] = (dBias.data[i] as number) + g;
    }
    for (let i = 0; i < n; i++) {
      const normal = ((x.data[row * n + i] as number) - mu) * inv;
      const h = (dy.data[row * n + i] as number) * (scale.data[i] as number);
      dx.data[row * n + i] = inv * (h - sum / n - (normal * dot) / n);
    }
  }
  return [dx, dScale, dBias];
};

const expand: Expansion = ({ node, builder, type }) => {
  const [dy = '', x = '', scale = '', mean = '', inverse = ''] = node.inputs;
  const [dx = '', dScale = '', dBias = ''] = node.outputs;
  const { dtype, dims } = type(x);
  const axis = axisOf(node, dims.length);
  const axes = dims.map((_, index) => index).slice(axis);
  const e = emitter(builder, dtype);
  const normal = dx || dScale ? e('Mul', e('Sub', x, mean), inverse) : '';
  const toX = () => {
    const h = e('Mul', dy, scale);
    const aligned = e('Mul', normal, meanOver(builder, e('Mul', h, normal), axes));
    return e('Mul', e('Sub', e('Sub', h, meanOver(builder, h, axes)), aligned), inverse);
  };
  const total = (value: string) => sumTo(builder, value, dims, dims.slice(axis));
  return [dx && toX(), dScale && total(e('Mul', dy, normal)), dBias && total(dy)];
};

export const layerNormGradSpec: OpSpec = {
  name: 'LayerNormGrad',
  domain: TRAINING_DOMAIN,
  inputs: [5, 5],
  infer: (context) => {
    const x = inputType(context, 1);
    const axis = axisOf(context.node, x.dims.length);
    const normalised = x.dims.slice(axis);
    const statistics = statisticDims(context.node, x.dims);
    checkInputDims(context, 0, 'dY', x.dims);
    checkInputDims(context, 2, 'scale', normalised);
    checkInputDims(context, 3, 'mean', statistics);
    checkInputDims(context, 4, 'inv_std', statistics);
    const parameter = { dtype: x.dtype, dims: normalised };
    return [x, parameter, parameter];
  },
  reference,
  expand,
};
