/** Gradient of average pooling: (dY) -> dX of shape `input_shape`; attributes are the pool's window, resolved. */
import { sizeOf } from '../../core/dtype';
import { attr, TRAINING_DOMAIN } from '../../onnx/graph';
import type { Attribute } from '../../onnx/graph';
import { intsAttribute } from '../attributes';
import { averagePoolGradReference } from '../AveragePool/reference';
import { gradInput, windowAttributes } from '../Conv/gradient';
import { unreached, windowOf } from '../Conv/window';
import type { Window } from '../Conv/window';
import type { Expansion, GradientRule, OpSpec } from '../define';
import { reshapeTo, scale } from '../gradients';
import { includesPad, poolAttributes } from '../pooling/attributes';
import { sharesOf } from '../pooling/positions';
import { dimAt, inputType } from '../shapes';

/** Windows that tile the picture exactly: each cell belongs to one output. */
function tiles(window: Window): boolean {
  return window.every(
    ({ kernel, stride, dilation, before, after, input, output }) =>
      kernel === stride &&
      dilation === 1 &&
      before === 0 &&
      after === 0 &&
      input === output * kernel,
  );
}

const expand: Expansion = ({ node, builder }) => {
  const [dy] = node.inputs;
  if (!dy) return [];
  const dims = intsAttribute(node, 'input_shape');
  const planes = dimAt(dims, 0) * dimAt(dims, 1);
  const window = windowOf(node, dims);
  const kernel = window.map((axis) => axis.kernel);
  const output = window.map((axis) => axis.output);
  if (tiles(window)) {
    const share = scale(builder, dy, 1 / sizeOf(kernel));
    const split = reshapeTo(builder, share, [planes, ...output.flatMap((length) => [length, 1])]);
    const wide = output.flatMap((length, axis) => [length, dimAt(kernel, axis)]);
    const spread = builder.node('Expand', [split, builder.ints([planes, ...wide])]);
    return [reshapeTo(builder, spread, dims)];
  }
  // In general: divide, then spread by a transposed convolution with ones, every plane on its own.
  const shares = [...sharesOf(window, includesPad(node))];
  const share = builder.node('Mul', [dy, builder.constant('float32', [1, 1, ...output], shares)]);
  const ones = new Array<number>(sizeOf(kernel)).fill(1);
  // A window over the edge (ceil_mode) is one with more padding.
  const wide = window.map((axis) => ({
    ...axis,
    after: axis.after + Math.max(0, -unreached(axis)),
  }));
  const spread = gradInput(
    builder,
    [
      reshapeTo(builder, share, [planes, 1, ...output]),
      builder.constant('float32', [1, 1, ...kernel], ones),
    ],
    windowAttributes(wide),
    [planes, 1, ...dims.slice(2)],
  );
  return [reshapeTo(builder, spread, dims)];
};

/** Linear, so the gradient's gradient is the pool again. */
const gradient: GradientRule = ({ node, builder, outputGradients }) => {
  const [g] = outputGradients;
  if (!g) return [];
  const window = windowOf(node, intsAttribute(node, 'input_shape'));
  const attributes: Record<string, Attribute> = {
    ...poolAttributes(node, window),
    count_include_pad: attr.int(includesPad(node) ? 1 : 0),
  };
  return [builder.node('AveragePool', [g], attributes)];
};

export const averagePoolGradSpec: OpSpec = {
  name: 'AveragePoolGrad',
  domain: TRAINING_DOMAIN,
  inputs: [1, 1],
  infer: (context) => [
    { dtype: inputType(context, 0).dtype, dims: intsAttribute(context.node, 'input_shape') },
  ],
  reference: averagePoolGradReference,
  gradient,
  expand,
};
