import { attr } from '../../onnx/graph';
import type { Node } from '../../onnx/graph';
import { intAttribute } from '../attributes';
import type { OpSpec } from '../define';
import { zeros } from '../gradients';
import { aroundAxis, dimAt, inputType, normalizeAxis, shapeError } from '../shapes';
import { inputValue, makeValue, numbersOf } from '../value';

/** Length of each part: as given, or equal parts with a shorter last one. */
function partLengths(node: Node, length: number, given: readonly number[] | undefined): number[] {
  const count = node.outputs.length;
  const chunk = Math.ceil(length / count);
  const parts =
    given ??
    Array.from({ length: count }, (_, index) =>
      Math.max(0, Math.min(chunk, length - index * chunk)),
    );
  const total = parts.reduce((sum, part) => sum + part, 0);
  if (parts.length !== count || total !== length) {
    throw shapeError(node, 'split', `${count} parts of ${length} in all`, parts.join(' + '));
  }
  return [...parts];
}

export const splitSpec: OpSpec = {
  name: 'Split',
  domain: '',
  inputs: [1, 2],
  infer: (context) => {
    const { node } = context;
    const { dtype, dims } = inputType(context, 0);
    const axis = normalizeAxis(node, intAttribute(node, 'axis', 0), dims.length);
    const length = dimAt(dims, axis);
    if (typeof length !== 'number')
      throw shapeError(node, `axis ${axis}`, 'of fixed length', length);
    const given = context.constant(1);
    return partLengths(node, length, given && numbersOf(given)).map((part) => ({
      dtype,
      dims: dims.map((dim, at) => (at === axis ? part : dim)),
    }));
  },
  reference: (node, inputs) => {
    const x = inputValue(node, inputs, 0);
    const axis = normalizeAxis(node, intAttribute(node, 'axis', 0), x.dims.length);
    const { outer, length, inner } = aroundAxis(x.dims, axis);
    let offset = 0;
    return partLengths(node, length, inputs[1] && Array.from(inputs[1].data)).map((part) => {
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
