import { unsupported } from '../attributes';
import { constantInts, hasInput, hasOutput, input, inputType } from '../lowering/context';
import type { Lowering } from '../lowering/plan';

/** In inference nothing is dropped, and the mask says so. */
export const dropout: Lowering = (context) => {
  const { node, plan } = context;
  const never = hasInput(context, 1) && context.constant(1)?.data[0] === 0;
  if (hasInput(context, 2) && constantInts(context, 2)?.[0] !== 0 && !never) {
    throw unsupported(node, 'drops at random by itself, where learning feeds masks');
  }
  const y = input(context, 0);
  if (!hasOutput(context, 1)) return [y];
  const { dims } = inputType(context, 0);
  const output = { dtype: 'bool', dims } as const;
  return [y, plan.pointwise({ label: 'Dropout mask', inputs: [], output, value: '1' })];
};
