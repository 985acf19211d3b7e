/** Batch normalisation on the graphics processor: with running statistics, while learning, and its gradient. */
import { sizeOf } from '../../core/dtype';
import { floatAttribute, intAttribute } from '../attributes';
import { f32, kernel } from '../lowering/kernel';
import { given, inputType, outputType } from '../lowering/tfjs';
import type { Lowering } from '../lowering/tfjs';
import { reduction } from '../reductions/kernel';
import { statisticAxes } from './spec';

/** WGSL: the channel of element `index`. */
function channelOf(dims: readonly number[]): string {
  return `(index / ${sizeOf(dims.slice(2))}) % ${dims[1] ?? 1}`;
}

export const batchNormalization: Lowering = (context) => {
  if (intAttribute(context.node, 'training_mode', 0) !== 0) return withBatchStatistics(context);
  const run = kernel(context.backend, {
    label: 'BatchNormalization',
    output: outputType(context),
    inputCount: 5,
    body: `  let c = ${channelOf(inputType(context, 0).dims)};
  let deviation = sqrt(x4[c] + ${f32(floatAttribute(context.node, 'epsilon', 1e-5))});
  result[index] = (x0[index] - x3[c]) / deviation * x1[c] + x2[c];`,
  });
  return (inputs) => [run(inputs.slice(0, 5).map(given))];
};

/** `training_mode`: y and the new running statistics. */
const withBatchStatistics: Lowering = (context) => {
  const run = batchNormTrain(context);
  return (inputs) => {
    const [y, mean, inverse, newMean, newVariance] = run(inputs).map(given);
    context.backend.disposeData(given(mean).dataId);
    context.backend.disposeData(given(inverse).dataId);
    return [given(y), given(newMean), given(newVariance)];
  };
};

/** (x, scale, bias, old mean, old variance) -> y, mean, inv_std, new mean, new variance */
export const batchNormTrain: Lowering = (context) => {
  const { backend, node } = context;
  const { dims } = inputType(context, 0);
  const channels = { dtype: 'float32', dims: [dims[1] ?? 1] } as const;
  const count = f32(sizeOf(dims) / (dims[1] ?? 1));
  const keep = floatAttribute(node, 'momentum', 0.9);
  const epsilon = f32(floatAttribute(node, 'epsilon', 1e-5));
  const statistics = { dims, axes: statisticAxes(dims), combine: 'sum', output: channels } as const;
  const meanOf = reduction(backend, {
    ...statistics,
    label: 'BatchNormTrain mean',
    element: 'x0[i]',
    inputCount: 1,
    finish: `total / ${count}`,
  });
  // Second pass around the mean: the difference of two large sums would lose the small variances.
  const varianceOf = reduction(backend, {
    ...statistics,
    label: 'BatchNormTrain variance',
    element: '(x0[i] - x1[o]) * (x0[i] - x1[o])',
    inputCount: 2,
    finish: `total / ${count}`,
  });
  const perChannel = (label: string, inputCount: number, code: string) =>
    kernel(backend, {
      label: `BatchNormTrain ${label}`,
      output: channels,
      inputCount,
      body: `  result[index] = ${code};`,
    });
  const inverseOf = perChannel('inverse', 1, `1.0 / sqrt(x0[index] + ${epsilon})`);
  const blend = perChannel('blend', 2, `x0[index] * ${f32(keep)} + x1[index] * ${f32(1 - keep)}`);
  const normalise = kernel(backend, {
    label: 'BatchNormTrain',
    output: { dtype: 'float32', dims },
    inputCount: 5,
    body: `  let c = ${channelOf(dims)};
  result[index] = (x0[index] - x3[c]) * (x4[c] * x1[c]) + x2[c];`,
  });
  return (inputs) => {
    const [x, scale, bias, oldMean, oldVariance] = inputs.map(given);
    const mean = meanOf([given(x)]);
    const variance = varianceOf([given(x), mean]);
    const inverse = inverseOf([variance]);
    const y = normalise([given(x), given(scale), given(bias), mean, inverse]);
    const newMean = blend([given(oldMean), mean]);
    const newVariance = blend([given(oldVariance), variance]);
    backend.disposeData(variance.dataId);
    return [y, mean, inverse, newMean, newVariance];
  };
};

/** (dY, x, scale, mean, inv_std) -> dX, dScale, dBias */
export const batchNormGradient: Lowering = (context) => {
  const { backend } = context;
  const { dims } = inputType(context, 1);
  const channels = { dtype: 'float32', dims: [dims[1] ?? 1] } as const;
  const count = f32(sizeOf(dims) / (dims[1] ?? 1));
  const sums = { dims, axes: statisticAxes(dims), combine: 'sum', output: channels } as const;
  const biasGradient = reduction(backend, {
    ...sums,
    label: 'BatchNormGrad bias',
    element: 'x0[i]',
    inputCount: 1,
  });
  const scaleGradient = reduction(backend, {
    ...sums,
    label: 'BatchNormGrad scale',
    element: 'x0[i] * (x1[i] - x2[o]) * x3[o]',
    inputCount: 4,
  });
  const inputGradient = kernel(backend, {
    label: 'BatchNormGrad',
    output: { dtype: 'float32', dims },
    inputCount: 7,
    body: `  let c = ${channelOf(dims)};
  let normal = (x1[index] - x3[c]) * x4[c];
  let rest = x0[index] - x6[c] / ${count} - normal * (x5[c] / ${count});
  result[index] = x2[c] * x4[c] * rest;`,
  });
  return (inputs) => {
    const [dy, x, scale, mean, inverse] = inputs.map(given).slice(0, 5);
    const dBias = biasGradient([given(dy)]);
    const dScale = scaleGradient([given(dy), given(x), given(mean), given(inverse)]);
    const all = [dy, x, scale, mean, inverse].map(given);
    return [inputGradient([...all, dScale, dBias]), dScale, dBias];
  };
};
