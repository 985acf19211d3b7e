/**
 * Batch normalisation on the graphics processor: with running statistics it is pointwise; while learning, one kernel
 * (two where channels are few) gives all statistics, and the rest is pointwise again. Its gradient likewise.
 */
import { sizeOf } from '../../core/dtype';
import { floatAttribute, intAttribute } from '../attributes';
import { f32 } from '../lowering/address';
import { channelKernel, channelWalk } from '../lowering/channels';
import type { Channels } from '../lowering/channels';
import { input, inputType, outputType } from '../lowering/context';
import type { DeviceTensor, Lowering, LoweringContext, LoweringTable } from '../lowering/plan';

const channelsOf = (dims: readonly number[]): Channels => ({
  outer: dims[0] ?? 1,
  channels: dims[1] ?? 1,
  inner: sizeOf(dims.slice(2)),
});

/** WGSL: the channel of element `index`. */
const channelOf = ({ channels, inner }: Channels): string =>
  inner === 1 ? `index % ${channels}` : `(index / ${inner}) % ${channels}`;

const inputsOf = (context: LoweringContext): DeviceTensor[] =>
  [0, 1, 2, 3, 4].map((port) => input(context, port));

const epsilonOf = ({ node }: LoweringContext): string => f32(floatAttribute(node, 'epsilon', 1e-5));

/** (x, scale, bias, mean, variance) -> y; with `training_mode` y and the new running statistics */
const batchNormalization: Lowering = (context) => {
  if (intAttribute(context.node, 'training_mode', 0) !== 0) {
    const [y, , , mean, variance] = batchNormTrain(context);
    return y && mean && variance ? [y, mean, variance] : [];
  }
  const y = context.plan.pointwise({
    label: 'BatchNormalization',
    inputs: inputsOf(context),
    output: outputType(context),
    lets: `  let c = ${channelOf(channelsOf(inputType(context, 0).dims))};`,
    value: `(x0(index) - x3(c)) / sqrt(x4(c) + ${epsilonOf(context)}) * x1(c) + x2(c)`,
  });
  return [y];
};

/** (x, scale, bias, old mean, old variance) -> y, mean, inverse deviation, new mean, new variance */
const batchNormTrain: Lowering = (context) => {
  const { plan } = context;
  const [x, scale, bias, oldMean, oldVariance] = inputsOf(context);
  if (!x || !scale || !bias || !oldMean || !oldVariance) return [];
  const [mean, inverse, newMean, newVariance] = statistics(context, x, oldMean, oldVariance);
  if (!mean || !inverse || !newMean || !newVariance) return [];
  const y = plan.pointwise({
    label: 'BatchNormTrain',
    inputs: [x, scale, bias, mean, inverse],
    output: outputType(context),
    lets: `  let c = ${channelOf(channelsOf(x.dims))};`,
    value: '(x0(index) - x3(c)) * (x4(c) * x1(c)) + x2(c)',
  });
  return [y, mean, inverse, newMean, newVariance];
};

/** WGSL of the four statistics of channel `c`, from `mean` and `variance`. */
function results({ node }: LoweringContext, oldMean: string, oldVariance: string): string {
  const keep = floatAttribute(node, 'momentum', 0.9);
  const blend = (old: string, own: string) => `${f32(keep)} * ${old} + ${f32(1 - keep)} * ${own}`;
  return `y0(c, mean); y1(c, 1.0 / sqrt(variance + ${f32(floatAttribute(node, 'epsilon', 1e-5))}));
    y2(c, ${blend(`${oldMean}(c)`, 'mean')}); y3(c, ${blend(`${oldVariance}(c)`, 'variance')});`;
}

/**
 * Each part walks its elements twice, the second time around its own mean: the difference of two large sums would
 * lose small variances. Parts are joined as Chan, Golub & LeVeque (1979) do.
 */
function statistics(
  context: LoweringContext,
  x: DeviceTensor,
  oldMean: DeviceTensor,
  oldVariance: DeviceTensor,
): readonly DeviceTensor[] {
  const { plan } = context;
  const walk = channelWalk(plan, 'BatchNormTrain', channelsOf(x.dims));
  const { channels, parts, part, length } = walk;
  const output = { dtype: 'float32', dims: [channels] } as const;
  const outputs = [output, output, output, output];
  const moments = (finish: string) => ({
    label: 'BatchNormTrain statistics',
    body: ({
      count,
      each,
      sum,
      once,
    }: Parameters<Parameters<typeof channelKernel>[2]['body']>[0]) => `  var total = 0.0;
${each('total += x0(i);')}
  let mean = ${sum('total')} / ${count};
  var squares = 0.0;
${each('let centred = x0(i) - mean; squares += centred * centred;')}
  let spread = ${sum('squares')};
${once(finish)}`,
  });
  if (parts === 1) {
    return channelKernel(plan, walk, {
      ...moments(`let variance = spread / ${f32(length)};
    ${results(context, 'x1', 'x2')}`),
      inputs: [x, oldMean, oldVariance],
      outputs,
    });
  }
  const partial = { dtype: 'float32', dims: [parts, channels] } as const;
  const [means, spreads] = channelKernel(plan, walk, {
    ...moments('y0(at, mean); y1(at, spread);'),
    inputs: [x],
    outputs: [partial, partial],
  });
  if (!means || !spreads) return [];
  const rest = length - (parts - 1) * part;
  return plan.kernel({
    label: 'BatchNormTrain statistics rest',
    inputs: [means, spreads, oldMean, oldVariance],
    outputs,
    body: `  let c = index;
  var mean = x0(c);
  var spread = x1(c);
  for (var part = 1; part < ${parts}; part++) {
    let count = select(${f32(part)}, ${f32(rest)}, part == ${parts - 1});
    let before = f32(part) * ${f32(part)};
    let step = x0(part * ${channels} + c) - mean;
    mean += step * (count / (before + count));
    spread += x1(part * ${channels} + c) + step * step * (before * count / (before + count));
  }
  let variance = spread / ${f32(length)};
  ${results(context, 'x2', 'x3')}`,
  });
}

/** (dY, x, scale, mean, inverse) -> dX, dScale, dBias */
const batchNormGradient: Lowering = (context) => {
  const { plan } = context;
  const [dy, x, scale, mean, inverse] = inputsOf(context);
  if (!dy || !x || !scale || !mean || !inverse) return [];
  const of = channelsOf(x.dims);
  const [dScale, dBias] = sums(context, of, [dy, x, mean, inverse]);
  if (!dScale || !dBias) return [];
  const count = f32(of.outer * of.inner);
  const dx = plan.pointwise({
    label: 'BatchNormGrad',
    inputs: [dy, x, scale, mean, inverse, dScale, dBias],
    output: outputType(context),
    lets: `  let c = ${channelOf(of)};
  let normal = (x1(index) - x3(c)) * x4(c);`,
    value: `x2(c) * x4(c) * (x0(index) - x6(c) / ${count} - normal * (x5(c) / ${count}))`,
  });
  return [dx, dScale, dBias];
};

function sums(
  { plan }: LoweringContext,
  of: Channels,
  inputs: readonly DeviceTensor[],
): readonly DeviceTensor[] {
  const walk = channelWalk(plan, 'BatchNormGrad', of);
  const { channels, parts } = walk;
  const output = { dtype: 'float32', dims: [channels] } as const;
  const partial = { dtype: 'float32', dims: [parts, channels] } as const;
  const made = channelKernel(plan, walk, {
    label: 'BatchNormGrad sums',
    inputs,
    outputs: parts === 1 ? [output, output] : [partial, partial],
    streams: [0, 1],
    body: ({ each, sum, once }) => `  let mean = x2(c);
  var slopes = 0.0;
  var total = 0.0;
${each('let g = x0(i); slopes += g * (x1(i) - mean); total += g;')}
  let all_slopes = ${sum('slopes')} * x3(c);
  let all = ${sum('total')};
${once('y0(at, all_slopes); y1(at, all);')}`,
  });
  if (parts === 1) return made;
  return plan.kernel({
    label: 'BatchNormGrad sums rest',
    inputs: made,
    outputs: [output, output],
    body: `  var slopes = 0.0;
  var total = 0.0;
  for (var part = 0; part < ${parts}; part++) {
    slopes += x0(part * ${channels} + index);
    total += x1(part * ${channels} + index);
  }
  y0(index, slopes);
  y1(index, total);`,
  });
}

export const BATCH_NORMALISATION: LoweringTable = { BatchNormalization: batchNormalization };

export const BATCH_NORMALISATION_TRAINING: LoweringTable = {
  BatchNormTrain: batchNormTrain,
  BatchNormGrad: batchNormGradient,
};
