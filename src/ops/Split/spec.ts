import { ceilDivDims, exactDivDims, mulDims, subDims } from '../../onnx/dim';
import { attr } from '../../onnx/graph';
import type { Dim, Node } from '../../onnx/graph';
import { intAttribute } from '../attributes';
import type { OpSpec } from '../define';
import { zeros } from '../gradients';
import { aroundAxis, dimAt, inputType, normalizeAxis, shapeError } from '../shapes';
import { inputValue, makeValue } from '../value';

/** Lengths of parts that the node does not give: equal, with a shorter last one. */
function partsOf(node: Node, length: Dim): Dim[] {
  const count = intAttribute(node, 'num_outputs', node.outputs.length);
  if (typeof length !== 'number') {
    const part = exactDivDims(length, count) ?? ceilDivDims(length, count);
    const last = subDims(length, mulDims(count - 1, part));
    return Array.from({ length: count }, (_, index) => (index === count - 1 ? last : part));
  }
  const chunk = Math.ceil(length / count);
  return Array.from({ length: count }, (_, index) =>
    Math.max(0, Math.min(chunk, length - index * chunk)),
  );
}

/** Checked against the axis as far as both are known. */
function partDims(node: Node, length: Dim, parts: readonly Dim[] | undefined): Dim[] {
  const count = node.outputs.length;
  if (!parts) return Array.from({ length: count }, (_, index) => `${node.name}_${index}`);
  const total = parts.reduce<number>((sum, part) => sum + Number(part), 0);
  if (
    parts.length !== count ||
    (typeof length === 'number' && Number.isFinite(total) && total !== length)
  ) {
    throw shapeError(node, 'split', `${count} parts of ${length} in all`, parts.join(' + '));
  }
  return [...parts];
}

const hasInput = (node: Node, index: number) => (node.inputs[index] ?? '') !== '';

export const splitSpec: OpSpec = {
  name: 'Split',
  domain: '',
  inputs: [1, 2],
  infer: (context) => {
    const { node } = context;
    const { dtype, dims } = inputType(context, 0);
    const axis = normalizeAxis(node, intAttribute(node, 'axis', 0), dims.length);
    const length = dimAt(dims, axis);
    const given = context.elements(1);
    const parts = partDims(node, length, hasInput(node, 1) ? given : partsOf(node, length));
    return parts.map((part) => ({
      dtype,
      dims: dims.map((dim, at) => (at === axis ? part : dim)),
    }));
  },
  reference: (node, inputs) => {
    const x = inputValue(node, inputs, 0);
    const axis = normalizeAxis(node, intAttribute(node, 'axis', 0), x.dims.length);
    const { outer, length, inner } = aroundAxis(x.dims, axis);
    let offset = 0;
    const given = inputs[1] ? Array.from(inputs[1].data) : partsOf(node, length);
    return (partDims(node, length, given) as number[]).map((part) => {
      const y = makeValue(
        x.dtype,
        x.dims.map((dim, at) => (at === axis ? part : dim)),
      );
      for (let o = 0; o < outer; o++) {
        const from = (o * length + offset) * inner;
        y.data.set(x.data.subarray(from, from + part * inner), o * part * inner);
      }
      offset += part;
      return y;
    });
  },
  gradient: ({ node, builder, outputGradients, type }) => {
    const [x] = node.inputs;
    if (!x) return [];
    const axis = normalizeAxis(node, intAttribute(node, 'axis', 0), type(x).dims.length);
    const parts = node.outputs.map(
      (name, index) => outputGradients[index] ?? zeros(builder, type(name).dims),
    );
    return [builder.node('Concat', parts, { axis: attr.int(axis) })];
  },
};
