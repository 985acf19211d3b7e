import type { OpSpec } from '../define';
import { scalarOf, sumTo } from '../gradients';
import { broadcastDims, broadcastIndex, broadcastStatic, inputType, shapeError } from '../shapes';
import { inputValue, makeValue } from '../value';

export const whereSpec: OpSpec = {
  name: 'Where',
  domain: '',
  inputs: [3, 3],
  infer: (context) => {
    const [condition, x, y] = [0, 1, 2].map((index) => inputType(context, index));
    if (!condition || !x || !y) return [];
    if (condition.dtype !== 'bool') {
      throw shapeError(context.node, 'condition', 'bool', condition.dtype);
    }
    if (x.dtype !== y.dtype) throw shapeError(context.node, 'input 2', x.dtype, y.dtype);
    const dims = broadcastDims(context.node, x.dims, y.dims);
    return [{ dtype: x.dtype, dims: broadcastDims(context.node, condition.dims, dims) }];
  },
  reference: (node, inputs) => {
    const condition = inputValue(node, inputs, 0);
    const x = inputValue(node, inputs, 1);
    const y = inputValue(node, inputs, 2);
    const dims = broadcastStatic(node, condition.dims, broadcastStatic(node, x.dims, y.dims));
    const [ci, xi, yi] = [condition, x, y].map((value) => broadcastIndex(value.dims, dims));
    const result = makeValue(x.dtype, dims);
    for (let i = 0; i < result.data.length; i++) {
      result.data[i] = condition.data[ci?.[i] as number]
        ? (x.data[xi?.[i] as number] as number)
        : (y.data[yi?.[i] as number] as number);
    }
    return [result];
  },
  gradient: ({ node, builder, outputGradients, type, wants }) => {
    const [g] = outputGradients;
    const [condition, x, y] = node.inputs;
    const [out] = node.outputs;
    if (!g || !condition || !x || !y || !out) return [];
    const { dtype, dims } = type(out);
    const zero = scalarOf(builder, dtype, 0);
    return [
      undefined,
      wants(1)
        ? sumTo(builder, builder.node('Where', [condition, g, zero]), dims, type(x).dims)
        : undefined,
      wants(2)
        ? sumTo(builder, builder.node('Where', [condition, zero, g]), dims, type(y).dims)
        : undefined,
    ];
  },
};
