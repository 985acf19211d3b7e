import { attr } from '../../onnx/graph';
import type { Attribute, Node } from '../../onnx/graph';
import { TRAINING_DOMAIN } from '../../onnx/graph';
import { intAttribute } from '../attributes';
import type { GradientRule } from '../define';
import type { Window } from './window';
import { windowOf } from './window';

/** The window as explicit attributes, so that a gradient node needs no `auto_pad`. */
export function windowAttributes(window: Window): Record<string, Attribute> {
  return {
    kernel_shape: attr.ints(window.kernel),
    strides: attr.ints(window.strides),
    dilations: attr.ints(window.dilations),
    pads: attr.ints(window.pads),
  };
}

function groupAttribute(node: Node): Record<string, Attribute> {
  return { group: attr.int(intAttribute(node, 'group', 1)) };
}

export const convGradient: GradientRule = ({ node, builder, outputGradients, type, wants }) => {
  const [g] = outputGradients;
  const [x, w, bias] = node.inputs;
  if (!g || !x || !w) return [];
  const xDims = type(x).dims;
  const wDims = type(w).dims;
  const attributes = {
    ...windowAttributes(windowOf(node, xDims, wDims.slice(2))),
    ...groupAttribute(node),
  };
  const options = { domain: TRAINING_DOMAIN };
  return [
    wants(0)
      ? builder.node(
          'ConvGradInput',
          [g, w],
          { ...attributes, input_shape: attr.ints(xDims) },
          options,
        )
      : undefined,
    wants(1)
      ? builder.node(
          'ConvGradWeight',
          [g, x],
          { ...attributes, weight_shape: attr.ints(wDims) },
          options,
        )
      : undefined,
    bias && wants(2)
      ? builder.node('ReduceSum', [g, builder.ints([0, 2, 3])], { keepdims: attr.int(0) })
      : undefined,
  ];
};
