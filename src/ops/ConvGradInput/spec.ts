/**
 * Gradient of a convolution for its input: (dY, W) -> dX. Attributes are Conv's window, resolved, with `group`
 * and `input_shape`. In standard operators it is one ConvTranspose.
 */
import { attr, TRAINING_DOMAIN } from '../../onnx/graph';
import { intAttribute, intsAttribute } from '../attributes';
import { convGradInputReference } from '../Conv/reference';
import { windowOf } from '../Conv/window';
import { windowAttributes } from '../Conv/gradient';
import type { Expansion, OpSpec } from '../define';
import { inputType } from '../shapes';

const expand: Expansion = ({ node, builder, type }) => {
  const [dy, w] = node.inputs;
  if (!dy || !w) return [];
  const window = windowOf(node, intsAttribute(node, 'input_shape'), type(w).dims.slice(2));
  // Rows of X that no output position reaches come back as zeros; there are fewer than a stride.
  const rest = ([0, 1] as const).map((axis) => {
    const span = (window.kernel[axis] - 1) * window.dilations[axis] + 1;
    const reached = (window.output[axis] - 1) * window.strides[axis] + span;
    return window.input[axis] + window.pads[axis] + window.pads[axis === 0 ? 2 : 3] - reached;
  });
  return [
    builder.node('ConvTranspose', [dy, w], {
      ...windowAttributes(window),
      group: attr.int(intAttribute(node, 'group', 1)),
      output_padding: attr.ints(rest),
    }),
  ];
};

export const convGradInputSpec: OpSpec = {
  name: 'ConvGradInput',
  domain: TRAINING_DOMAIN,
  inputs: [2, 2],
  infer: (context) => [
    { dtype: inputType(context, 0).dtype, dims: intsAttribute(context.node, 'input_shape') },
  ],
  reference: convGradInputReference,
  expand,
};
