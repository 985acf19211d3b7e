/** Convolution and its gradients on the graphics processor: our own kernels, NCHW, groups and dilations included. */
import { intAttribute } from '../attributes';
import { flatWindow } from '../lowering/window';
import { given, hasInput, inputType, outputType } from '../lowering/tfjs';
import type { Lowering } from '../lowering/tfjs';
import {
  convForwardColumns,
  convGradInputColumns,
  convGradWeightColumns,
  fitsColumns,
} from './columns';
import { convForward, convGradInput, convGradWeight } from './kernel';

export const conv: Lowering = (context) => {
  const { node } = context;
  const x = inputType(context, 0).dims;
  const w = inputType(context, 1).dims;
  const y = outputType(context).dims;
  const groups = intAttribute(node, 'group', 1);
  const bias = hasInput(context, 2);
  const window = flatWindow(node, x, w.slice(2));
  const { backend, software } = context;
  const shape = { x, w, y, groups, window };
  const run = fitsColumns(shape, false)
    ? convForwardColumns(backend, software, shape, bias)
    : convForward(backend, shape, bias);
  return (inputs) => [run((bias ? inputs.slice(0, 3) : inputs.slice(0, 2)).map(given))];
};

/** (dY, W) -> dX */
export const convInputGradient: Lowering = (context) => {
  const { node } = context;
  const x = outputType(context).dims;
  const w = inputType(context, 1).dims;
  const y = inputType(context, 0).dims;
  const groups = intAttribute(node, 'group', 1);
  const window = flatWindow(node, x, w.slice(2));
  const { backend, software } = context;
  const shape = { x, w, y, groups, window };
  const run = fitsColumns(shape, true)
    ? convGradInputColumns(backend, software, shape)
    : convGradInput(backend, shape);
  return (inputs) => [run([given(inputs[0]), given(inputs[1])])];
};

/** (dY, X) -> dW */
export const convWeightGradient: Lowering = (context) => {
  const { node } = context;
  const x = inputType(context, 1).dims;
  const w = outputType(context).dims;
  const y = inputType(context, 0).dims;
  const groups = intAttribute(node, 'group', 1);
  const window = flatWindow(node, x, w.slice(2));
  const { backend, software } = context;
  const shape = { x, w, y, groups, window };
  const run = fitsColumns(shape, false)
    ? convGradWeightColumns(backend, software, shape)
    : convGradWeight(backend, shape);
  return (inputs) => [run([given(inputs[0]), given(inputs[1])])];
};
