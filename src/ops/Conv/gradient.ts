/**
 * A convolution is linear in its input and in its weight, so its gradients are two operators of the same family
 * (ConvGradInput, ConvGradWeight), and theirs are members of it again. y = x ∗ w, dx = dy ∗ᵀ w, dw = dy ⋆ x.
 */
import { attr, TRAINING_DOMAIN } from '../../onnx/graph';
import type { GraphBuilder } from '../../onnx/builder';
import type { Attribute, Node } from '../../onnx/graph';
import { intAttribute, intsAttribute } from '../attributes';
import type { GradientRule } from '../define';
import type { Window } from './window';
import { windowOf } from './window';

/** The window as explicit attributes, so that a gradient node needs no `auto_pad`. */
export function windowAttributes(window: Window): Record<string, Attribute> {
  return {
    kernel_shape: attr.ints(window.map(({ kernel }) => kernel)),
    strides: attr.ints(window.map(({ stride }) => stride)),
    dilations: attr.ints(window.map(({ dilation }) => dilation)),
    pads: attr.ints([...window.map(({ before }) => before), ...window.map(({ after }) => after)]),
  };
}

export function groupAttribute(node: Node): Record<string, Attribute> {
  return { group: attr.int(intAttribute(node, 'group', 1)) };
}

const OPTIONS = { domain: TRAINING_DOMAIN };

/** dX of shape `dims` from dY and W. */
export function gradInput(
  builder: GraphBuilder,
  [dy, w]: readonly [string, string],
  attributes: Readonly<Record<string, Attribute>>,
  dims: readonly number[],
): string {
  const all = { ...attributes, input_shape: attr.ints(dims) };
  return builder.node('ConvGradInput', [dy, w], all, OPTIONS);
}

/** dW of shape `dims` from dY and X. */
export function gradWeight(
  builder: GraphBuilder,
  [dy, x]: readonly [string, string],
  attributes: Readonly<Record<string, Attribute>>,
  dims: readonly number[],
): string {
  const all = { ...attributes, weight_shape: attr.ints(dims) };
  return builder.node('ConvGradWeight', [dy, x], all, OPTIONS);
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
  const others = xDims.map((_, axis) => axis).filter((axis) => axis !== 1);
  return [
    wants(0) ? gradInput(builder, [g, w], attributes, xDims) : undefined,
    wants(1) ? gradWeight(builder, [g, x], attributes, wDims) : undefined,
    bias && wants(2)
      ? builder.node('ReduceSum', [g, builder.ints(others)], { keepdims: attr.int(0) })
      : undefined,
  ];
};

/** Of (dY, W) -> dX. */
export const convGradInputGradient: GradientRule = (context) => {
  const { node, builder, type, wants } = context;
  const [g] = context.outputGradients;
  const [dy, w] = node.inputs;
  if (!g || !dy || !w) return [];
  const window = windowOf(node, intsAttribute(node, 'input_shape'), type(w).dims.slice(2));
  const { image, cut } = withoutNegativePads(builder, g, window);
  const attributes = { ...windowAttributes(cut), ...groupAttribute(node) };
  return [
    wants(0) ? builder.node('Conv', [image, w], attributes) : undefined,
    wants(1) ? gradWeight(builder, [dy, image], attributes, type(w).dims) : undefined,
  ];
};

/** Negative padding at the end (of a ConvTranspose with output padding) as a slice: runtimes refuse it. */
function withoutNegativePads(builder: GraphBuilder, image: string, window: Window) {
  if (window.every(({ after }) => after >= 0)) return { image, cut: window };
  const cut = window.map((axis) => {
    const after = Math.max(0, axis.after);
    return { ...axis, after, input: axis.input + axis.after - after };
  });
  const bounds = [
    builder.ints(cut.map(() => 0)),
    builder.ints(cut.map(({ input }) => input)),
    builder.ints(cut.map((_, axis) => axis + 2)),
  ];
  return { image: builder.node('Slice', [image, ...bounds]), cut };
}

/** Of (dY, X) -> dW. */
export const convGradWeightGradient: GradientRule = (context) => {
  const { node, builder, type, wants } = context;
  const [g] = context.outputGradients;
  const [dy, x] = node.inputs;
  if (!g || !dy || !x) return [];
  const window = windowOf(node, type(x).dims, intsAttribute(node, 'weight_shape').slice(2));
  const attributes = { ...windowAttributes(window), ...groupAttribute(node) };
  return [
    wants(0) ? builder.node('Conv', [x, g], attributes) : undefined,
    wants(1) ? gradInput(builder, [dy, g], attributes, type(x).dims) : undefined,
  ];
};
