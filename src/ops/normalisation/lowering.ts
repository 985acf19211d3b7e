/**
 * Layer and RMS normalisation on the graphics processor: one kernel forward, with the statistics as outputs of their
 * own; two backward, one along the rows for the input and one down the columns for the parameters.
 * The equations stand in layer.ts and in the gradients' own folders.
 */
import { sizeOf } from '../../core/dtype';
import { floatAttribute } from '../attributes';
import { addressOf, broadcastStrides, f32 } from '../lowering/address';
import { hasInput, input, inputType, outputType } from '../lowering/context';
import type { Lowering, LoweringContext } from '../lowering/plan';
import { rowKernel } from '../lowering/rows';
import type { Rows } from '../lowering/rows';
import { axisOf, statisticDims } from './layer';

interface Normalised {
  readonly rows: Rows;
  readonly statistic: { readonly dtype: 'float32'; readonly dims: readonly number[] };
}

function normalised(
  { node }: LoweringContext,
  dims: readonly number[],
  family: string,
): Normalised {
  const axis = axisOf(node, dims.length);
  return {
    rows: {
      family,
      count: sizeOf(dims.slice(0, axis)),
      length: sizeOf(dims.slice(axis)),
      inner: 1,
    },
    statistic: { dtype: 'float32', dims: statisticDims(node, dims) },
  };
}

/** WGSL: a parameter at element `at`, place `k` of its row. */
function parameter(
  slot: number,
  own: readonly number[],
  dims: readonly number[],
  length: number,
): string {
  const perRow =
    own.length <= dims.length &&
    sizeOf(own) === length &&
    length === sizeOf(dims.slice(-own.length));
  return `x${slot}(${perRow ? 'k' : addressOf(dims, broadcastStrides(own, dims), 'at')})`;
}

/** (x, scale, bias?) -> y, mean, inverse deviation */
export const layerNormalization: Lowering = (context) => {
  const { plan, node } = context;
  const { dims } = inputType(context, 0);
  const { rows, statistic } = normalised(context, dims, 'LayerNormalization');
  const inputs = [0, 1, ...(hasInput(context, 2) ? [2] : [])].map((port) => input(context, port));
  const at = (port: number) => parameter(port, inputType(context, port).dims, dims, rows.length);
  const shift = hasInput(context, 2) ? ` + ${at(2)}` : '';
  // Statistics that nothing asked for have no name and cost nothing.
  const shown = node.outputs.length > 1;
  return rowKernel(plan, rows, {
    label: 'LayerNormalization',
    inputs,
    outputs: [outputType(context), ...(shown ? [statistic, statistic] : [])],
    streams: [0],
    keep: { x: 'x0(at)' },
    body: ({ length, each, sum, once }) => `  var total = 0.0;
${each('total += x;')}
  let mean = ${sum('total')} / ${length};
  var squares = 0.0;
${each('let centred = x - mean; squares += centred * centred;')}
  let inverse = 1.0 / sqrt(${sum('squares')} / ${length} + ${f32(floatAttribute(node, 'epsilon', 1e-5))});
${each(`y0(at, (x - mean) * inverse * ${at(1)}${shift});`)}
${shown ? once('y1(row, mean); y2(row, inverse);') : ''}`,
  });
};
