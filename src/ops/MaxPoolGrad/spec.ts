/** Gradient of max pooling: (dY, X) -> dX. Each output's gradient goes to the first maximum under its window. */
import { sizeOf } from '../../core/dtype';
import { attr, TRAINING_DOMAIN } from '../../onnx/graph';
import { windowOf } from '../Conv/window';
import type { Expansion, OpSpec } from '../define';
import { reshapeTo, zeros } from '../gradients';
import { maxPoolGradReference } from '../MaxPool/reference';
import { poolAttributes } from '../pooling/attributes';
import { inputType } from '../shapes';

/** MaxPool again for its indices (flat over the whole tensor), then an adding scatter: windows may overlap. */
const expand: Expansion = ({ node, builder, type }) => {
  const [dy, x] = node.inputs;
  if (!dy || !x) return [];
  const dims = type(x).dims;
  const outputs = sizeOf(type(dy).dims);
  const attributes = poolAttributes(node, windowOf(node, dims));
  const [, index] = builder.nodes('MaxPool', [x], 2, attributes);
  const scattered = builder.node(
    'ScatterElements',
    [
      zeros(builder, [sizeOf(dims)]),
      reshapeTo(builder, index ?? '', [outputs]),
      reshapeTo(builder, dy, [outputs]),
    ],
    { axis: attr.int(0), reduction: attr.string('add') },
  );
  return [reshapeTo(builder, scattered, dims)];
};

export const maxPoolGradSpec: OpSpec = {
  name: 'MaxPoolGrad',
  domain: TRAINING_DOMAIN,
  inputs: [2, 2],
  infer: (context) => [inputType(context, 1)],
  reference: maxPoolGradReference,
  expand,
};
