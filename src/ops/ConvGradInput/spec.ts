/**
 * Gradient of a convolution for its input: (dY, W) -> dX. Attributes are Conv's window, resolved, with `group`
 * and `input_shape`. In standard operators it is one ConvTranspose.
 */
import { attr, TRAINING_DOMAIN } from '../../onnx/graph';
import { intsAttribute } from '../attributes';
import { convGradInputReference } from '../Conv/reference';
import { unreached, windowOf } from '../Conv/window';
import { convGradInputGradient, groupAttribute, windowAttributes } from '../Conv/gradient';
import type { Expansion, OpSpec } from '../define';
import { inputType } from '../shapes';

const expand: Expansion = ({ node, builder, type }) => {
  const [dy, w] = node.inputs;
  if (!dy || !w) return [];
  const given = windowOf(node, intsAttribute(node, 'input_shape'), type(w).dims.slice(2));
  // A ConvTranspose with a large `output_shape` ends in negative padding, which onnxruntime does not take.
  const window = given.map((axis) => ({ ...axis, after: Math.max(0, axis.after) }));
  // Elements of X that no output position reaches come back as zeros; mostly there are fewer than a stride.
  const rest = window.map(unreached);
  const fill = window.map(({ stride }, axis) => Math.min(rest[axis] ?? 0, stride - 1));
  const more = rest.map((count, axis) => count - (fill[axis] ?? 0));
  const dx = builder.node('ConvTranspose', [dy, w], {
    ...windowAttributes(window),
    ...groupAttribute(node),
    output_padding: attr.ints(fill),
  });
  if (more.every((count) => count === 0)) return [dx];
  const none = [0, 0, ...more.map(() => 0)];
  return [builder.node('Pad', [dx, builder.ints([...none, 0, 0, ...more])])];
};

export const convGradInputSpec: OpSpec = {
  name: 'ConvGradInput',
  domain: TRAINING_DOMAIN,
  inputs: [2, 2],
  infer: (context) => [
    { dtype: inputType(context, 0).dtype, dims: intsAttribute(context.node, 'input_shape') },
  ],
  reference: convGradInputReference,
  gradient: convGradInputGradient,
  expand,
};
