/**
 * Layer and RMS normalisation on the graphics processor: one kernel forward, with the statistics as outputs of their
 * own; two backward, one along the rows for the input and one down the columns for the parameters.
 * The equations stand in layer.ts and in the gradients' own folders.
 */
import { sizeOf } from '../../core/dtype';
import { floatAttribute } from '../attributes';
import { addressOf, broadcastStrides, f32 } from '../lowering/address';
import { channelKernel, channelWalk } from '../lowering/channels';
import { hasInput, input, inputType, outputType } from '../lowering/context';
import type { DeviceTensor, Lowering, LoweringContext, LoweringTable } from '../lowering/plan';
import { rowKernel } from '../lowering/rows';
import type { Rows } from '../lowering/rows';
import { axisOf, statisticDims } from './layer';

function rowsOf({ node }: LoweringContext, dims: readonly number[], family: string): Rows {
  const axis = axisOf(node, dims.length);
  const [count, length] = [sizeOf(dims.slice(0, axis)), sizeOf(dims.slice(axis))];
  return { family, count, length, inner: 1 };
}

const inputsOf = (context: LoweringContext, count: number): DeviceTensor[] =>
  Array.from({ length: count }, (_, port) => input(context, port));

/** WGSL: a parameter at element `at` of x, place `k` of its row. */
function parameter(context: LoweringContext, port: number, length: number): string {
  const { dims } = inputType(context, 0);
  const own = inputType(context, port).dims;
  const normalised = sizeOf(own) === length && sizeOf(dims.slice(-own.length)) === length;
  return `x${port}(${normalised ? 'k' : addressOf(dims, broadcastStrides(own, dims), 'at')})`;
}

const epsilonOf = ({ node }: LoweringContext): string => f32(floatAttribute(node, 'epsilon', 1e-5));

/** (x, scale, bias?) -> y, mean, inverse deviation */
const layerNormalization: Lowering = (context) => {
  const { plan, node } = context;
  const { dims } = inputType(context, 0);
  const rows = rowsOf(context, dims, 'LayerNormalization');
  const biased = hasInput(context, 2);
  const scale = parameter(context, 1, rows.length);
  const shift = biased ? ` + ${parameter(context, 2, rows.length)}` : '';
  const shown = node.outputs.length > 1;
  const statistic = { dtype: 'float32', dims: statisticDims(node, dims) } as const;
  return rowKernel(plan, rows, {
    label: 'LayerNormalization',
    inputs: inputsOf(context, biased ? 3 : 2),
    outputs: [outputType(context), ...(shown ? [statistic, statistic] : [])],
    streams: [0],
    keep: { x: 'x0(at)' },
    body: ({ length, each, sum, once }) => `  var total = 0.0;
${each('total += x;')}
  let mean = ${sum('total')} / ${length};
  var squares = 0.0;
${each('let centred = x - mean; squares += centred * centred;')}
  let inverse = 1.0 / sqrt(${sum('squares')} / ${length} + ${epsilonOf(context)});
${each(`y0(at, (x - mean) * inverse * ${scale}${shift});`)}
${shown ? once('y1(row, mean); y2(row, inverse);') : ''}`,
  });
};

/** (x, scale) -> y; RMSNormTrain: y, inverse root mean square */
const rmsNormalization: Lowering = (context) => {
  const { plan, node } = context;
  const { dims } = inputType(context, 0);
  const rows = rowsOf(context, dims, 'RMSNormalization');
  const scale = parameter(context, 1, rows.length);
  const shown = node.outputs.length > 1;
  const statistic = { dtype: 'float32', dims: statisticDims(node, dims) } as const;
  return rowKernel(plan, rows, {
    label: 'RMSNormalization',
    inputs: inputsOf(context, 2),
    outputs: [outputType(context), ...(shown ? [statistic] : [])],
    streams: [0],
    keep: { x: 'x0(at)' },
    body: ({ length, each, sum, once }) => `  var squares = 0.0;
${each('squares += x * x;')}
  let inverse = 1.0 / sqrt(${sum('squares')} / ${length} + ${epsilonOf(context)});
${each(`y0(at, x * inverse * ${scale});`)}
${shown ? once('y1(row, inverse);') : ''}`,
  });
};

/**
 * Sums down the columns of [rows, columns], one or two at once.
 * @param elements WGSL of the element `i` of column `c`, whose row is `row`
 */
function columnSums(
  context: LoweringContext,
  label: string,
  rows: Rows,
  inputs: readonly DeviceTensor[],
  elements: readonly string[],
): readonly DeviceTensor[] {
  const { plan } = context;
  // As the scale; the outputs themselves may not be wanted and then have no type.
  const output = inputType(context, 2);
  const walk = channelWalk(plan, `${label} columns`, {
    outer: rows.count,
    channels: rows.length,
    inner: 1,
  });
  const { parts } = walk;
  const partial = { dtype: 'float32', dims: [parts, rows.length] } as const;
  const list = (code: (n: number) => string) => elements.map((_, n) => code(n)).join(' ');
  const sums = channelKernel(plan, walk, {
    label: `${label} parameters`,
    inputs,
    outputs: elements.map(() => (parts === 1 ? output : partial)),
    streams: [0, 1],
    body: ({ each, sum, once }) => `  ${list((n) => `var sum_${n} = 0.0;`)}
${each(`let row = i / ${rows.length}; ${elements.map((code, n) => `sum_${n} += ${code};`).join(' ')}`)}
  ${list((n) => `let all_${n} = ${sum(`sum_${n}`)};`)}
${once(list((n) => `y${n}(at, all_${n});`))}`,
  });
  if (parts === 1) return sums;
  return plan.kernel({
    label: `${label} parameters rest`,
    inputs: sums,
    outputs: elements.map(() => output),
    body: `  ${list((n) => `var sum_${n} = 0.0;`)}
  for (var part = 0; part < ${parts}; part++) {
    ${list((n) => `sum_${n} += x${n}(part * ${rows.length} + index);`)}
  }
  ${list((n) => `y${n}(index, sum_${n});`)}`,
  });
}

/** (dY, x, scale, mean, inverse) -> dX, dScale, dBias */
const layerGradient: Lowering = (context) => {
  const { plan } = context;
  const { dims } = inputType(context, 1);
  const rows = rowsOf(context, dims, 'LayerNormGrad');
  const inputs = inputsOf(context, 5);
  const dx = rowKernel(plan, rows, {
    label: 'LayerNormGrad',
    inputs,
    outputs: [inputType(context, 1)],
    streams: [0, 1],
    before: '  let mean = x3(row);\n  let inverse = x4(row);',
    keep: { h: 'x0(at) * x2(k)', normal: '(x1(at) - mean) * inverse' },
    body: ({ length, each, sum }) => `  var total = 0.0;
  var aligned = 0.0;
${each('total += h; aligned += h * normal;')}
  let level = ${sum('total')} / ${length};
  let slope = ${sum('aligned')} / ${length};
${each('y0(at, inverse * (h - level - normal * slope));')}`,
  });
  const elements = ['x0(i) * (x1(i) - x2(row)) * x3(row)', 'x0(i)'];
  const [dy, x, , mean, inverse] = inputs;
  if (!dy || !x || !mean || !inverse) return [];
  return [...dx, ...columnSums(context, 'LayerNormGrad', rows, [dy, x, mean, inverse], elements)];
};

/** (dY, x, scale, inverse) -> dX, dScale */
const rmsGradient: Lowering = (context) => {
  const { plan } = context;
  const { dims } = inputType(context, 1);
  const rows = rowsOf(context, dims, 'RMSNormGrad');
  const inputs = inputsOf(context, 4);
  const dx = rowKernel(plan, rows, {
    label: 'RMSNormGrad',
    inputs,
    outputs: [inputType(context, 1)],
    streams: [0, 1],
    before: '  let inverse = x3(row);',
    keep: { h: 'x0(at) * x2(k)', normal: 'x1(at) * inverse' },
    body: ({ length, each, sum }) => `  var aligned = 0.0;
${each('aligned += h * normal;')}
  let slope = ${sum('aligned')} / ${length};
${each('y0(at, inverse * (h - normal * slope));')}`,
  });
  const [dy, x, , inverse] = inputs;
  if (!dy || !x || !inverse) return [];
  const elements = ['x0(i) * x1(i) * x2(row)'];
  return [...dx, ...columnSums(context, 'RMSNormGrad', rows, [dy, x, inverse], elements)];
};

export const NORMALISATION: LoweringTable = {
  LayerNormalization: layerNormalization,
  RMSNormalization: rmsNormalization,
};

export const NORMALISATION_GRADIENTS: LoweringTable = {
  LayerNormGrad: layerGradient,
  RMSNormGrad: rmsGradient,
  RMSNormTrain: rmsNormalization,
};
