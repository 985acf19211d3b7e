/** Softmax and its logarithm on the graphics processor: one kernel, around the largest element so that nothing overflows. */
import { intAttribute } from '../attributes';
import { f32 } from '../lowering/address';
import { input, inputType, outputType } from '../lowering/context';
import type { Lowering, LoweringTable } from '../lowering/plan';
import { rowKernel } from '../lowering/rows';
import type { RowWriter } from '../lowering/rows';
import { aroundAxis, normalizeAxis } from '../shapes';

/** Below every finite element. */
const LOWEST = f32(-3.4028234e38);

/** WGSL: `most`, the largest `x` of the row, and `all`, the sum of exp(x − most). */
export const exponents = ({ each, sum, max }: RowWriter): string => `  var top = ${LOWEST};
${each('top = max(top, x);')}
  let most = ${max('top')};
  var total = 0.0;
${each('total += exp(x - most);')}
  let all = ${sum('total')};`;

const softmax =
  (log: boolean): Lowering =>
  (context) => {
    const { node, plan } = context;
    const { dims } = inputType(context, 0);
    const axis = normalizeAxis(node, intAttribute(node, 'axis', -1), dims.length);
    const { outer, length, inner } = aroundAxis(dims, axis);
    const label = log ? 'LogSoftmax' : 'Softmax';
    return rowKernel(
      plan,
      { family: 'Softmax', count: outer * inner, length, inner },
      {
        label,
        inputs: [input(context, 0)],
        outputs: [outputType(context)],
        streams: [0],
        keep: { x: 'x0(at)' },
        body: (row) => `${exponents(row)}
${log ? '  let level = log(all);' : '  let share = 1.0 / all;'}
${row.each(log ? 'y0(at, x - most - level);' : 'y0(at, exp(x - most) * share);')}`,
      },
    );
  };

export const SOFTMAX: LoweringTable = { Softmax: softmax(false), LogSoftmax: softmax(true) };
