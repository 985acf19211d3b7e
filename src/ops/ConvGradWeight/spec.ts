/**
 * Gradient of a convolution for its weight: (dY, X) -> dW. Attributes are Conv's window, resolved, with `group`
 * and `weight_shape`.
 */
import { attr, TRAINING_DOMAIN } from '../../onnx/graph';
import type { GraphBuilder } from '../../onnx/builder';
import { intAttribute, intsAttribute } from '../attributes';
import { convGradWeightReference } from '../Conv/reference';
import type { Window } from '../Conv/window';
import { windowOf } from '../Conv/window';
import type { Expansion, OpSpec } from '../define';
import { transpose } from '../gradients';
import { dimAt, inputType } from '../shapes';

const SWAP = [1, 0, 2, 3] as const;

/**
 * dW[m,c] is X[·,c] correlated with dY[·,m] over images and positions: a convolution with images as channels,
 * dY as the kernel, and stride and dilation exchanged.
 */
function oneGroup(
  builder: GraphBuilder,
  dy: string, // [N, M, OH, OW]
  x: string, // [N, C, H, W]
  window: Window,
): string {
  const correlation = builder.node(
    'Conv',
    [transpose(builder, x, SWAP), transpose(builder, dy, SWAP)],
    {
      kernel_shape: attr.ints(window.output),
      strides: attr.ints(window.dilations),
      dilations: attr.ints(window.strides),
      pads: attr.ints(window.pads),
    },
  ); // [C, M, >= KH, >= KW]
  const exact = ([0, 1] as const).every((axis) => {
    const padded = window.input[axis] + window.pads[axis] + window.pads[axis === 0 ? 2 : 3];
    const span = (window.output[axis] - 1) * window.strides[axis] + 1;
    return Math.floor((padded - span) / window.dilations[axis]) + 1 === window.kernel[axis];
  });
  const cut = exact
    ? correlation
    : builder.node('Slice', [
        correlation,
        builder.ints([0, 0]),
        builder.ints(window.kernel),
        builder.ints([2, 3]),
      ]);
  return transpose(builder, cut, SWAP); // [M, C, KH, KW]
}

const expand: Expansion = ({ node, builder, type }) => {
  const [dy, x] = node.inputs;
  if (!dy || !x) return [];
  const weight = intsAttribute(node, 'weight_shape');
  const window = windowOf(node, type(x).dims, weight.slice(2));
  const group = intAttribute(node, 'group', 1);
  if (group === 1) return [oneGroup(builder, dy, x, window)];
  const part = (value: string, width: number, index: number) =>
    builder.node('Slice', [
      value,
      builder.ints([index * width]),
      builder.ints([(index + 1) * width]),
      builder.ints([1]),
    ]);
  const parts = Array.from({ length: group }, (_, index) =>
    oneGroup(
      builder,
      part(dy, dimAt(weight, 0) / group, index),
      part(x, dimAt(weight, 1), index),
      window,
    ),
  );
  return [builder.node('Concat', parts, { axis: attr.int(0) })];
};

export const convGradWeightSpec: OpSpec = {
  name: 'ConvGradWeight',
  domain: TRAINING_DOMAIN,
  inputs: [2, 2],
  infer: (context) => [
    { dtype: inputType(context, 0).dtype, dims: intsAttribute(context.node, 'weight_shape') },
  ],
  reference: convGradWeightReference,
  expand,
};
