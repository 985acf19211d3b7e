/** The gradient of Softmax on the graphics processor: one kernel along the rows. */
import { intAttribute } from '../attributes';
import { input, inputType, outputType } from '../lowering/context';
import type { Lowering } from '../lowering/plan';
import { rowKernel } from '../lowering/rows';
import { aroundAxis } from '../shapes';

export const softmaxGradient: Lowering = (context) => {
  const { node, plan } = context;
  const { outer, length, inner } = aroundAxis(
    inputType(context, 0).dims,
    intAttribute(node, 'axis'),
  );
  return rowKernel(
    plan,
    { family: 'SoftmaxGrad', count: outer * inner, length, inner },
    {
      label: 'SoftmaxGrad',
      inputs: [input(context, 0), input(context, 1)],
      outputs: [outputType(context)],
      streams: [0, 1],
      keep: { g: 'x0(at)', p: 'x1(at)' },
      body: ({ each, sum }) => `  var total = 0.0;
${each('total += g * p;')}
  let all = ${sum('total')};
${each('y0(at, p * (g - all));')}`,
    },
  );
};
