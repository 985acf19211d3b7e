/** Convolution and its gradients on the graphics processor: our own kernels, NCHW, groups and dilations included. */
import { intAttribute } from '../attributes';
import { deviceWindow } from '../lowering/window';
import { given, hasInput, inputType, outputType } from '../lowering/tfjs';
import type { Lowering, LoweringContext } from '../lowering/tfjs';
import {
  convForwardColumns,
  convGradInputColumns,
  convGradWeightColumns,
  fitsColumns,
} from './columns';
import {
  depthwiseForward,
  depthwiseGradInput,
  depthwiseGradWeight,
  isDepthwise,
} from './depthwise';
import { convForward, convGradInput, convGradWeight } from './kernel';
import type { ConvShape } from './kernel';
import { windowOf } from './window';

function shapeOf(
  { node }: LoweringContext,
  x: readonly number[],
  w: readonly number[],
  y: readonly number[],
): ConvShape {
  const window = deviceWindow(windowOf(node, x, w.slice(2)));
  return { x, w, y, groups: intAttribute(node, 'group', 1), window };
}

export const conv: Lowering = (context) => {
  const { backend, software } = context;
  const x = inputType(context, 0).dims;
  const w = inputType(context, 1).dims;
  const shape = shapeOf(context, x, w, outputType(context).dims);
  const bias = hasInput(context, 2);
  const run = isDepthwise(shape)
    ? depthwiseForward(backend, shape, bias)
    : fitsColumns(shape, false)
      ? convForwardColumns(backend, software, shape, bias)
      : convForward(backend, shape, bias);
  return (inputs) => [run((bias ? inputs.slice(0, 3) : inputs.slice(0, 2)).map(given))];
};

/** (dY, W) -> dX */
export const convInputGradient: Lowering = (context) => {
  const { backend, software } = context;
  const y = inputType(context, 0).dims;
  const w = inputType(context, 1).dims;
  const shape = shapeOf(context, outputType(context).dims, w, y);
  const run = isDepthwise(shape)
    ? depthwiseGradInput(backend, shape)
    : fitsColumns(shape, true)
      ? convGradInputColumns(backend, software, shape)
      : convGradInput(backend, shape);
  return (inputs) => [run([given(inputs[0]), given(inputs[1])])];
};

/** (dY, X) -> dW */
export const convWeightGradient: Lowering = (context) => {
  const { backend, software } = context;
  const y = inputType(context, 0).dims;
  const x = inputType(context, 1).dims;
  const shape = shapeOf(context, x, outputType(context).dims, y);
  const run = isDepthwise(shape)
    ? depthwiseGradWeight(backend, shape)
    : fitsColumns(shape, false)
      ? convGradWeightColumns(backend, software, shape)
      : convGradWeight(backend, shape);
  return (inputs) => [run([given(inputs[0]), given(inputs[1])])];
};
