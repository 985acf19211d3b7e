import { attr } from '../../onnx/graph';
import { AppError } from '../../core/errors';
import { sizeOf } from '../../core/dtype';
import { intAttribute } from '../attributes';
import type { GradientRule, OpSpec } from '../define';
import { reshapeTo, transpose } from '../gradients';
import { aroundAxis, dimAt, inputType, normalizeAxis } from '../shapes';
import { inputValue, makeValue } from '../value';

/** The rows that were read get their gradients added up: one-hot(indices)ᵀ · dY, which needs no scatter. */
const gradient: GradientRule = ({ node, builder, outputGradients, type }) => {
  const [g] = outputGradients;
  const [x, indices] = node.inputs;
  if (!g || !x || !indices) return [];
  const dims = type(x).dims;
  const axis = normalizeAxis(node, intAttribute(node, 'axis', 0), dims.length);
  const { outer, length, inner } = aroundAxis(dims, axis);
  const count = sizeOf(type(indices).dims);
  const index = builder.node('Cast', [reshapeTo(builder, indices, [count])], { to: attr.int(7) });
  const hot = builder.node(
    'OneHot',
    [index, builder.ints([length]), builder.constant('float32', [2], [0, 1])],
    { axis: attr.int(0) },
  ); // [length, count]; a negative index counts from the end here as in Gather
  const rows = transpose(builder, reshapeTo(builder, g, [outer, count, inner]), [1, 0, 2]);
  const sums = builder.node('MatMul', [hot, reshapeTo(builder, rows, [count, outer * inner])]);
  const back = transpose(builder, reshapeTo(builder, sums, [length, outer, inner]), [1, 0, 2]);
  return [reshapeTo(builder, back, dims), undefined];
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
        const index = given < 0 ? given + length : given;
        if (!(index >= 0 && index < length)) {
          throw new AppError(
            'onnx/index',
            `Node "${node.name}" (Gather) reads position ${given} of an axis of length ${dimAt(x.dims, axis)}.`,
            { node: node.name, index: given },
          );
        }
        const from = (o * length + index) * inner;
        y.data.set(x.data.subarray(from, from + inner), at);
        at += inner;
      }
    }
    return [y];
  },
  gradient,
};
