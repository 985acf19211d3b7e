import type { OpSpec } from '../define';
import { scale } from '../gradients';
import { wholePlanes } from '../pooling/global';
import { dimAt } from '../shapes';

/** Mean over all spatial axes, each kept with length 1. */
export const globalAveragePoolSpec: OpSpec = {
  name: 'GlobalAveragePool',
  ...wholePlanes((plane) => plane.reduce((sum, value) => sum + value, 0) / plane.length),
  gradient: ({ node, builder, outputGradients, type }) => {
    const [g] = outputGradients;
    const [x] = node.inputs;
    if (!g || !x) return [];
    const dims = type(x).dims;
    const plane = dims.slice(2).reduce((product, _, axis) => product * dimAt(dims, axis + 2), 1);
    return [builder.node('Expand', [scale(builder, g, 1 / plane), builder.ints(dims)])];
  },
};
