/** Gradient of average pooling: (dY) -> dX of shape `input_shape`; attributes are the pool's window, resolved. */
import { attr, TRAINING_DOMAIN } from '../../onnx/graph';
import { intsAttribute } from '../attributes';
import { averagePoolGradReference, outputShares } from '../AveragePool/reference';
import { windowAttributes } from '../Conv/gradient';
import type { Window } from '../Conv/window';
import { windowOf } from '../Conv/window';
import type { Expansion, OpSpec } from '../define';
import { reshapeTo, scale } from '../gradients';
import { dimAt, inputType } from '../shapes';

/** Windows that tile the picture exactly: each cell belongs to one output. */
function tiles(window: Window): boolean {
  return ([0, 1] as const).every(
    (axis) =>
      window.kernel[axis] === window.strides[axis] &&
      window.dilations[axis] === 1 &&
      window.pads[axis] === 0 &&
      window.pads[axis === 0 ? 2 : 3] === 0 &&
      window.input[axis] === window.output[axis] * window.kernel[axis],
  );
}

const expand: Expansion = ({ node, builder }) => {
  const [dy] = node.inputs;
  if (!dy) return [];
  const dims = intsAttribute(node, 'input_shape');
  const planes = dimAt(dims, 0) * dimAt(dims, 1);
  const window = windowOf(node, dims);
  const { kernel, output } = window;
  if (tiles(window)) {
    const share = scale(builder, dy, 1 / (kernel[0] * kernel[1]));
    const split = reshapeTo(builder, share, [planes, output[0], 1, output[1], 1]);
    const spread = builder.node('Expand', [
      split,
      builder.ints([planes, output[0], kernel[0], output[1], kernel[1]]),
    ]);
    return [reshapeTo(builder, spread, dims)];
  }
  // In general: divide, then spread by a transposed convolution with ones, every plane on its own.
  const shares = builder.constant('float32', [1, 1, ...output], [...outputShares(node, window)]);
  const share = builder.node('Mul', [dy, shares]);
  const ones = new Array<number>(kernel[0] * kernel[1]).fill(1);
  const rest = ([0, 1] as const).map((axis) => {
    const span = (kernel[axis] - 1) * window.dilations[axis] + 1;
    const reached = (output[axis] - 1) * window.strides[axis] + span;
    return window.input[axis] + window.pads[axis] + window.pads[axis === 0 ? 2 : 3] - reached;
  });
  const spread = builder.node(
    'ConvTranspose',
    [
      reshapeTo(builder, share, [planes, 1, ...output]),
      builder.constant('float32', [1, 1, ...kernel], ones),
    ],
    { ...windowAttributes(window), output_padding: attr.ints(rest) },
  );
  return [reshapeTo(builder, spread, dims)];
};

export const averagePoolGradSpec: OpSpec = {
  name: 'AveragePoolGrad',
  domain: TRAINING_DOMAIN,
  inputs: [1, 1],
  infer: (context) => [
    { dtype: inputType(context, 0).dtype, dims: intsAttribute(context.node, 'input_shape') },
  ],
  reference: averagePoolGradReference,
  expand,
};
