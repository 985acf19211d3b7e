/** Squeeze and Unsqueeze. Axes come as an input (opset 13) or, in older files, an attribute. */
import type { Dim, Node } from '../../onnx/graph';
import { intsAttribute, unsupported } from '../attributes';
import type { GradientContext, InferContext, OpSpec } from '../define';
import { reshapeTo } from '../gradients';
import { dimAt, inputType, normalizeAxis, shapeError, shapeText } from '../shapes';
import { inputValue, makeValue, numbersOf } from '../value';

type Rule = <T extends Dim>(
  node: Node,
  dims: readonly T[],
  axes: readonly number[] | undefined,
) => (T | 1)[];

const squeezed: Rule = (node, dims, axes) => {
  const drop = axes?.map((axis) => normalizeAxis(node, axis, dims.length));
  for (const axis of drop ?? []) {
    const dim = dimAt(dims, axis);
    if (typeof dim === 'number' && dim !== 1) {
      throw shapeError(node, `axis ${axis}`, '1 long', shapeText(dims));
    }
  }
  return dims.filter((dim, axis) => (drop ? !drop.includes(axis) : dim !== 1));
};

const unsqueezed: Rule = (node, dims, axes) => {
  const rank = dims.length + (axes?.length ?? 0);
  const at = new Set(axes?.map((axis) => normalizeAxis(node, axis, rank)));
  if (at.size !== (axes?.length ?? 0)) {
    throw shapeError(node, 'axes', 'all different', shapeText(axes ?? []));
  }
  let next = 0;
  return Array.from({ length: rank }, (_, axis) => (at.has(axis) ? 1 : dimAt(dims, next++)));
};

function gradient({ node, builder, outputGradients, type }: GradientContext) {
  const [g] = outputGradients;
  const [x] = node.inputs;
  return [g && x ? reshapeTo(builder, g, type(x).dims) : undefined];
}

/** With axes that are computed only the rank is known, by their number. */
function openDims(context: InferContext, rank: number, sign: 1 | -1): Dim[] {
  const [count] = inputType(context, 1).dims;
  if (typeof count !== 'number') throw unsupported(context.node, 'computes how many axes it has');
  return Array.from(
    { length: rank + sign * count },
    (_, axis): Dim => `${context.node.name}_${axis}`,
  );
}

function spec(name: string, rule: Rule): OpSpec {
  const attribute = (node: Node) =>
    node.attributes.has('axes') ? intsAttribute(node, 'axes') : undefined;
  return {
    name,
    domain: '',
    inputs: [1, 2],
    infer: (context) => {
      const { dtype, dims } = inputType(context, 0);
      const tensor = context.constant(1);
      if (!tensor && context.node.inputs[1]) {
        return [{ dtype, dims: openDims(context, dims.length, name === 'Squeeze' ? -1 : 1) }];
      }
      const axes = tensor ? numbersOf(tensor) : attribute(context.node);
      return [{ dtype, dims: rule(context.node, dims, axes) }];
    },
    reference: (node, inputs) => {
      const x = inputValue(node, inputs, 0);
      const axes = inputs[1] ? Array.from(inputs[1].data) : attribute(node);
      return [makeValue(x.dtype, rule(node, x.dims, axes), x.data)];
    },
    gradient,
  };
}

export const squeezeSpecs: readonly OpSpec[] = [
  spec('Squeeze', squeezed),
  spec('Unsqueeze', unsqueezed),
];
