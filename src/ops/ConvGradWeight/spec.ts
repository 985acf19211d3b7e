/**
 * Gradient of a convolution for its weight: (dY, X) -> dW. Attributes are Conv's window, resolved, with `group`
 * and `weight_shape`.
 */
import { attr, TRAINING_DOMAIN } from '../../onnx/graph';
import { intAttribute, intsAttribute } from '../attributes';
import { convGradWeightGradient } from '../Conv/gradient';
import { convGradWeightReference } from '../Conv/reference';
import { spanOf, windowOf } from '../Conv/window';
import type { Expansion, OpSpec } from '../define';
import { reshapeTo, transpose } from '../gradients';
import { dimAt, inputType } from '../shapes';

/**
 * dW[m,c] is X[·,c] correlated with dY[·,m] over images and positions: a convolution with images as channels,
 * dY as the kernel, and stride and dilation exchanged. Channel c of every group makes one image, so that all
 * groups are one grouped convolution.
 */
const expand: Expansion = ({ node, builder, type }) => {
  const [dy, x] = node.inputs;
  if (!dy || !x) return [];
  const weight = intsAttribute(node, 'weight_shape');
  const window = windowOf(node, type(x).dims, weight.slice(2));
  const group = intAttribute(node, 'group', 1);
  const [batch, , ...space] = type(x).dims as [number, number, ...number[]];
  const perGroup = dimAt(weight, 1);
  const swap = [1, 0, ...space.map((_, axis) => axis + 2)];
  let images: string; // [C / group, group · N, ...]
  if (group === 1) images = transpose(builder, x, swap);
  else {
    const split = reshapeTo(builder, x, [batch, group, perGroup, ...space]);
    const turned = transpose(builder, split, [2, 1, 0, ...space.map((_, axis) => axis + 3)]);
    images = reshapeTo(builder, turned, [perGroup, group * batch, ...space]);
  }
  // What padding would cut off at the end is cut from the result instead.
  const ends = window.map(({ after }) => Math.max(0, after));
  const correlation = builder.node('Conv', [images, transpose(builder, dy, swap)], {
    kernel_shape: attr.ints(window.map(({ output }) => output)),
    strides: attr.ints(window.map(({ dilation }) => dilation)),
    dilations: attr.ints(window.map(({ stride }) => stride)),
    pads: attr.ints([...window.map(({ before }) => before), ...ends]),
    group: attr.int(group),
  }); // [C / group, M, >= kernel ...]
  const exact = window.every((axis, index) => {
    const span = spanOf({ kernel: axis.output, dilation: axis.stride });
    const room = axis.input + axis.before + dimAt(ends, index) - span;
    return Math.floor(room / axis.dilation) + 1 === axis.kernel;
  });
  const cut = exact
    ? correlation
    : builder.node('Slice', [
        correlation,
        builder.ints(window.map(() => 0)),
        builder.ints(window.map(({ kernel }) => kernel)),
        builder.ints(window.map((_, axis) => axis + 2)),
      ]);
  return [transpose(builder, cut, swap)]; // [M, C / group, kernel ...]
};

export const convGradWeightSpec: OpSpec = {
  name: 'ConvGradWeight',
  domain: TRAINING_DOMAIN,
  inputs: [2, 2],
  infer: (context) => [
    { dtype: inputType(context, 0).dtype, dims: intsAttribute(context.node, 'weight_shape') },
  ],
  reference: convGradWeightReference,
  gradient: convGradWeightGradient,
  expand,
};
