import { sizeOf } from '../../core/dtype';
import { attr } from '../../onnx/graph';
import type { GradientRule, OpSpec } from '../define';
import { reshapeTo } from '../gradients';
import { wholePlanes } from '../pooling/global';
import { dimAt } from '../shapes';

/** To the first maximum of each plane, as in MaxPool. */
const gradient: GradientRule = ({ node, builder, outputGradients, type }) => {
  const [g] = outputGradients;
  const [x = ''] = node.inputs;
  if (!g) return [];
  const dims = type(x).dims;
  const plane = sizeOf(dims.slice(2));
  const planes = dimAt(dims, 0) * dimAt(dims, 1);
  const winner = builder.node('ArgMax', [reshapeTo(builder, x, [planes, plane])], {
    axis: attr.int(1),
    keepdims: attr.int(0),
  });
  const values = builder.constant('float32', [2], [0, 1]);
  const hot = builder.node('OneHot', [winner, builder.ints([plane]), values]); // [planes, plane]
  const spread = builder.node('Mul', [hot, reshapeTo(builder, g, [planes, 1])]);
  return [reshapeTo(builder, spread, dims)];
};

/** Maximum over all spatial axes, each kept with length 1. */
export const globalMaxPoolSpec: OpSpec = {
  name: 'GlobalMaxPool',
  // NaN wins, as in Math.max.
  ...wholePlanes((plane) => plane.reduce((most, value) => Math.max(most, value), -Infinity)),
  gradient,
  expand: ({ node, builder, type }) => {
    const [x = ''] = node.inputs;
    const axes = builder.ints(
      type(x)
        .dims.slice(2)
        .map((_, axis) => axis + 2),
    );
    return [builder.node('ReduceMax', [x, axes], { keepdims: attr.int(1) })];
  },
};
