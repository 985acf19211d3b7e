/** ArgMax and ArgMin. Ties take the first, or with `select_last_index` the last. */
import type { Dim, Node } from '../../onnx/graph';
import { intAttribute } from '../attributes';
import type { OpSpec } from '../define';
import { reducedDims } from '../reductions/spec';
import { aroundAxis, inputType, normalizeAxis } from '../shapes';
import { inputValue, makeValue } from '../value';

/** The reduced axis, and what remains of the shape. */
function reduced<T extends Dim>(node: Node, dims: readonly T[]) {
  const axis = normalizeAxis(node, intAttribute(node, 'axis', 0), dims.length);
  const keep = intAttribute(node, 'keepdims', 1) !== 0;
  return { axis, dims: reducedDims(dims, [axis], keep) };
}

function argSpec(name: string, better: (a: number, b: number) => boolean): OpSpec {
  return {
    name,
    domain: '',
    inputs: [1, 1],
    infer: (context) => [
      { dtype: 'int64', dims: reduced(context.node, inputType(context, 0).dims).dims },
    ],
    reference: (node, inputs) => {
      const x = inputValue(node, inputs, 0);
      const { axis, dims } = reduced(node, x.dims);
      const last = intAttribute(node, 'select_last_index', 0) !== 0;
      const { outer, length, inner } = aroundAxis(x.dims, axis);
      const result = makeValue('int64', dims);
      for (let o = 0; o < outer; o++) {
        for (let i = 0; i < inner; i++) {
          let best = 0;
          let bestValue = x.data[o * length * inner + i] as number;
          for (let k = 1; k < length; k++) {
            const value = x.data[(o * length + k) * inner + i] as number;
            if (better(value, bestValue) || (last && value === bestValue)) {
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
}

export const argSpecs: readonly OpSpec[] = [
  argSpec('ArgMax', (a, b) => a > b),
  argSpec('ArgMin', (a, b) => a < b),
];
