import { attr } from '../../onnx/graph';
import type { Dim } from '../../onnx/graph';
import { intAttribute } from '../attributes';
import type { OpSpec } from '../define';
import { aroundAxis, inputType, normalizeAxis } from '../shapes';
import { inputValue, makeValue } from '../value';

function insertAxis<T extends Dim>(dims: readonly T[], axis: number, length: T): T[] {
  return [...dims.slice(0, axis), length, ...dims.slice(axis)];
}

/** (indices, depth, [off, on]). Indices out of range give a row of `off`; negative ones count from the end. */
export const oneHotSpec: OpSpec = {
  name: 'OneHot',
  domain: '',
  inputs: [3, 3],
  infer: (context) => {
    const { node } = context;
    const { dims } = inputType(context, 0);
    const [depth] = context.elements(1) ?? [];
    const axis = normalizeAxis(node, intAttribute(node, 'axis', -1), dims.length + 1);
    const length: Dim = depth ?? `${node.name}_depth`;
    return [{ dtype: inputType(context, 2).dtype, dims: insertAxis<Dim>(dims, axis, length) }];
  },
  reference: (node, inputs) => {
    const indices = inputValue(node, inputs, 0);
    const depth = inputValue(node, inputs, 1).data[0] as number;
    const values = inputValue(node, inputs, 2);
    const axis = normalizeAxis(node, intAttribute(node, 'axis', -1), indices.dims.length + 1);
    const y = makeValue(values.dtype, insertAxis(indices.dims, axis, depth));
    y.data.fill(values.data[0] as number);
    const { outer, inner } = aroundAxis(y.dims, axis);
    for (let o = 0; o < outer; o++) {
      for (let i = 0; i < inner; i++) {
        const given = indices.data[o * inner + i] as number;
        const index = given < 0 ? given + depth : given;
        if (index >= 0 && index < depth) {
          y.data[(o * depth + index) * inner + i] = values.data[1] as number;
        }
      }
    }
    return [y];
  },
  gradient: ({ node, builder, outputGradients }) => {
    const [g] = outputGradients;
    const [indices = '', depth = ''] = node.inputs;
    if (!g) return [];
    const total = (name: string) =>
      builder.node('Reshape', [
        builder.node('ReduceSum', [name], { keepdims: attr.int(0) }),
        builder.ints([1]),
      ]);
    const hot = builder.node('OneHot', [indices, depth, builder.constant('float32', [2], [0, 1])], {
      axis: attr.int(intAttribute(node, 'axis', -1)),
    });
    const on = total(builder.node('Mul', [g, hot]));
    const off = builder.node('Sub', [total(g), on]);
    return [undefined, undefined, builder.node('Concat', [off, on], { axis: attr.int(0) })];
  },
};
