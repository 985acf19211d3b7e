import { attr } from '../../onnx/graph';
import { sizeOf } from '../../core/dtype';
import { intAttribute } from '../attributes';
import type { GradientRule, OpSpec } from '../define';
import { reshapeTo, trainingNode, transpose, zeros } from '../gradients';
import { checkedIndex } from '../indexing/address';
import { aroundAxis, inputType, normalizeAxis } from '../shapes';
import { inputValue, makeValue } from '../value';

/** The rows that were read get their gradients added up, in the order in which they were read. */
const gradient: GradientRule = ({ node, builder, outputGradients, type }) => {
  const [g] = outputGradients;
  const [x = '', indices = ''] = node.inputs;
  if (!g) return [];
  const dims = type(x).dims;
  const axis = normalizeAxis(node, intAttribute(node, 'axis', 0), dims.length);
  if (axis === 0) {
    const name = `${node.outputs[0] ?? ''}/ddata`;
    return trainingNode(builder, 'GatherGrad', [g, indices], [name], { dims: attr.ints(dims) });
  }
  const { outer, length, inner } = aroundAxis(dims, axis);
  const count = sizeOf(type(indices).dims);
  const column = reshapeTo(builder, indices, [count, 1]);
  const index =
    type(indices).dtype === 'int64' ? column : builder.node('Cast', [column], { to: attr.int(7) });
  const add = (into: readonly number[], rows: string) =>
    builder.node('ScatterND', [zeros(builder, into), index, rows], {
      reduction: attr.string('add'),
    });
  const rows = transpose(builder, reshapeTo(builder, g, [outer, count, inner]), [1, 0, 2]);
  const sums = add([length, outer, inner], rows);
  return [reshapeTo(builder, transpose(builder, sums, [1, 0, 2]), dims)];
};

export const gatherSpec: OpSpec = {
  name: 'Gather',
  domain: '',
  inputs: [2, 2],
  infer: (context) => {
    const { dtype, dims } = inputType(context, 0);
    const indices = inputType(context, 1);
    const axis = normalizeAxis(context.node, intAttribute(context.node, 'axis', 0), dims.length);
    return [{ dtype, dims: [...dims.slice(0, axis), ...indices.dims, ...dims.slice(axis + 1)] }];
  },
  reference: (node, inputs) => {
    const x = inputValue(node, inputs, 0);
    const indices = inputValue(node, inputs, 1);
    const axis = normalizeAxis(node, intAttribute(node, 'axis', 0), x.dims.length);
    const { outer, length, inner } = aroundAxis(x.dims, axis);
    const y = makeValue(x.dtype, [
      ...x.dims.slice(0, axis),
      ...indices.dims,
      ...x.dims.slice(axis + 1),
    ]);
    let at = 0;
    for (let o = 0; o < outer; o++) {
      for (const given of indices.data) {
        const from = (o * length + checkedIndex(node, given, length)) * inner;
        y.data.set(x.data.subarray(from, from + inner), at);
        at += inner;
      }
    }
    return [y];
  },
  gradient,
};
