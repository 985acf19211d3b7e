import { unsupported } from '../attributes';
import { kernel } from '../lowering/kernel';
import { alias, constantInts, given, hasInput, inputType } from '../lowering/tfjs';
import type { Lowering } from '../lowering/tfjs';

/** In inference nothing is dropped, and the mask says so. */
export const dropout: Lowering = (context) => {
  const { backend, node } = context;
  const never = hasInput(context, 1) && context.constant(1)?.data[0] === 0;
  if (hasInput(context, 2) && constantInts(context, 2)?.[0] !== 0 && !never) {
    throw unsupported(node, 'drops at random by itself, where learning feeds masks');
  }
  const { dims } = inputType(context, 0);
  const masked = (node.outputs[1] ?? '') !== '';
  const mask = kernel(backend, {
    label: 'Dropout mask',
    output: { dtype: 'bool', dims },
    inputCount: 0,
    body: '  result[index] = 1;',
  });
  return (inputs) => {
    const x = given(inputs[0]);
    const y = alias(backend, x, x.shape);
    return masked ? [y, mask([])] : [y];
  };
};
