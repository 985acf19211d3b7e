/** Convolution and its gradients on the graphics processor, NCHW, groups and dilations included. */
import { intAttribute } from '../attributes';
import { hasInput, input, outputType } from '../lowering/context';
import type { Lowering, LoweringContext } from '../lowering/plan';
import { deviceWindow } from '../lowering/window';
import { partsFor, summed } from '../MatMul/choose';
import {
  depthwiseForward,
  depthwiseInputGradient,
  depthwiseWeightGradient,
  isDepthwise,
} from './depthwise';
import { forwardSums, inputGradientSums, weightGradientSums } from './implicit';
import { flattened } from './shape';
import type { ConvShape } from './shape';
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
  const { plan } = context;
  const [x, w] = [input(context, 0), input(context, 1)];
  const output = outputType(context);
  const shape = shapeOf(context, x.dims, w.dims, output.dims);
  const sums = forwardSums(flattened(shape), [x, w]);
  const y = isDepthwise(shape)
    ? depthwiseForward(plan, shape, [x, w])
    : summed(plan, 'conv', sums, 1, () => sums);
  if (!hasInput(context, 2)) return [y];
  const { positions } = shape.window;
  const bias = `x1((index / ${positions}) % ${output.dims[1] ?? 1})`;
  const inputs = [y, input(context, 2)];
  return [plan.pointwise({ label: 'Conv bias', inputs, output, value: `x0(index) + ${bias}` })];
};

/** (dY, W) -> dX */
export const convInputGradient: Lowering = (context) => {
  const { plan } = context;
  const [dy, w] = [input(context, 0), input(context, 1)];
  const shape = shapeOf(context, outputType(context).dims, w.dims, dy.dims);
  if (isDepthwise(shape)) return [depthwiseInputGradient(plan, shape, [dy, w])];
  const sums = inputGradientSums(flattened(shape), [dy, w]);
  return [summed(plan, 'conv input gradient', sums, 1, () => sums)];
};

/** (dY, X) -> dW */
export const convWeightGradient: Lowering = (context) => {
  const { plan } = context;
  const [dy, x] = [input(context, 0), input(context, 1)];
  const given = shapeOf(context, x.dims, outputType(context).dims, dy.dims);
  if (isDepthwise(given)) return [depthwiseWeightGradient(plan, given, [dy, x])];
  const shape = flattened(given);
  const whole = weightGradientSums(shape, [dy, x], 1);
  const parts = partsFor(whole, shape.x[0] ?? 1);
  const cut = () => weightGradientSums(shape, [dy, x], parts);
  return [summed(plan, 'conv weight gradient', whole, parts, cut)];
};
