import { intAttribute } from '../attributes';
import type { OpSpec } from '../define';
import { aroundAxis, inputType, normalizeAxis } from '../shapes';
import { inputValue, makeValue } from '../value';

/** Ties take the first, or with `select_last_index` the last. */
export const argMaxSpec: OpSpec = {
  name: 'ArgMax',
  domain: '',
  inputs: [1, 1],
  infer: (context) => {
    const { dims } = inputType(context, 0);
    const axis = normalizeAxis(context.node, intAttribute(context.node, 'axis', 0), dims.length);
    const keep = intAttribute(context.node, 'keepdims', 1) !== 0;
    return [
      {
        dtype: 'int64',
        dims: dims.flatMap((dim, index) => (index === axis ? (keep ? [1] : []) : [dim])),
      },
    ];
  },
  reference: (node, inputs) => {
    const x = inputValue(node, inputs, 0);
    const axis = normalizeAxis(node, intAttribute(node, 'axis', 0), x.dims.length);
    const keep = intAttribute(node, 'keepdims', 1) !== 0;
    const last = intAttribute(node, 'select_last_index', 0) !== 0;
    const { outer, length, inner } = aroundAxis(x.dims, axis);
    const dims = x.dims.flatMap((dim, index) => (index === axis ? (keep ? [1] : []) : [dim]));
    const result = makeValue('int64', dims);
    for (let o = 0; o < outer; o++) {
      for (let i = 0; i < inner; i++) {
        let best = 0;
        let bestValue = x.data[o * length * inner + i] as number;
        for (let k = 1; k < length; k++) {
          const value = x.data[(o * length + k) * inner + i] as number;
          if (value > bestValue || (last && value === bestValue)) {
            best = k;
            bestValue = value;
          }
        }
        result.data[o * inner + i] = best;
      }
    }
    return [result];
  },
};
