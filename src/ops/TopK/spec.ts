/** TopK: the k largest or smallest along an axis with their positions; of equal ones the first comes first. */
import { attr } from '../../onnx/graph';
import type { Dim } from '../../onnx/graph';
import { intAttribute } from '../attributes';
import type { OpSpec } from '../define';
import { zeros } from '../gradients';
import { aroundAxis, inputType, normalizeAxis, shapeError } from '../shapes';
import { inputValue, makeValue } from '../value';

export const topKSpec: OpSpec = {
  name: 'TopK',
  domain: '',
  inputs: [2, 2],
  infer: (context) => {
    const { node } = context;
    const { dtype, dims } = inputType(context, 0);
    const axis = normalizeAxis(node, intAttribute(node, 'axis', -1), dims.length);
    const [k = `${node.name}_k`] = context.elements(1) ?? [];
    const length = dims[axis];
    if (typeof k === 'number' && typeof length === 'number' && (k > length || k < 0)) {
      throw shapeError(node, 'k', `at most ${length}`, String(k));
    }
    const kept = dims.map((dim, at): Dim => (at === axis ? k : dim));
    return [
      { dtype, dims: kept },
      { dtype: 'int64', dims: kept },
    ];
  },
  reference: (node, inputs) => {
    const x = inputValue(node, inputs, 0);
    const k = inputValue(node, inputs, 1).data[0] as number;
    const axis = normalizeAxis(node, intAttribute(node, 'axis', -1), x.dims.length);
    const { outer, length, inner } = aroundAxis(x.dims, axis);
    if (k > length) throw shapeError(node, 'k', `at most ${length}`, String(k));
    const sign = intAttribute(node, 'largest', 1) === 0 ? 1 : -1;
    const kept = x.dims.map((dim, at) => (at === axis ? k : dim));
    const values = makeValue(x.dtype, kept);
    const indices = makeValue('int64', kept);
    for (let o = 0; o < outer; o++) {
      for (let i = 0; i < inner; i++) {
        const at = (position: number) => x.data[(o * length + position) * inner + i] as number;
        const order = Array.from({ length }, (_, position) => position);
        // Sorting is stable, so equal ones stay in their order. NaN counts as the largest, as NumPy sorts it.
        order.sort((a, b) => sign * compare(at(a), at(b)));
        for (let rank = 0; rank < k; rank++) {
          const to = (o * k + rank) * inner + i;
          const position = order[rank] as number;
          values.data[to] = at(position);
          indices.data[to] = position;
        }
      }
    }
    return [values, indices];
  },
  gradient: ({ node, builder, outputGradients, type }) => {
    const [g] = outputGradients;
    const [x = ''] = node.inputs;
    const [, indices = ''] = node.outputs;
    if (!g || indices === '') return [];
    return [
      builder.node('ScatterElements', [zeros(builder, type(x).dims), indices, g], {
        axis: attr.int(intAttribute(node, 'axis', -1)),
      }),
    ];
  },
};

function compare(a: number, b: number): number {
  if (Number.isNaN(a) || Number.isNaN(b)) return Number(Number.isNaN(a)) - Number(Number.isNaN(b));
  return a - b;
}
