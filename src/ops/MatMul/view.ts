/** An operand as strides over memory. What a Transpose made is read where the Transpose read it. */
import { intsAttribute } from '../attributes';
import { stridesOf } from '../shapes';
import { input, inputType } from '../lowering/context';
import type { DeviceTensor, LoweringContext } from '../lowering/plan';

export interface View {
  readonly tensor: DeviceTensor;
  readonly dims: readonly number[];
  readonly strides: readonly number[];
}

export function viewOf(context: LoweringContext, index: number): View {
  const { dims } = inputType(context, index);
  const name = context.node.inputs[index] ?? '';
  const producer = context.producer(name);
  const [source] = producer?.inputs ?? [];
  if (producer?.op !== 'Transpose' || producer.domain !== '' || !source) {
    return { tensor: input(context, index), dims, strides: stridesOf(dims) };
  }
  const backwards = dims.map((_, axis) => dims.length - 1 - axis);
  const own = stridesOf(context.type(source).dims);
  const strides = intsAttribute(producer, 'perm', backwards).map((axis) => own[axis] ?? 0);
  return { tensor: context.tensor(source), dims, strides };
}
