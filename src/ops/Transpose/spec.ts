import type { Node } from '../../onnx/graph';
import { intsAttribute } from '../attributes';
import type { OpSpec } from '../define';
import { transpose } from '../gradients';
import { dimAt, inputType, shapeError, shapeText, stridedIndex, stridesOf } from '../shapes';
import { inputValue, makeValue } from '../value';

/** The permutation, checked; absent it reverses the axes. */
export function permutation(node: Node, rank: number): readonly number[] {
  const reversed = Array.from({ length: rank }, (_, axis) => rank - 1 - axis);
  const perm = intsAttribute(node, 'perm', reversed);
  if (perm.length !== rank || !reversed.every((axis) => perm.includes(axis))) {
    throw shapeError(node, 'perm', `a permutation of ${rank} axes`, shapeText(perm));
  }
  return perm;
}

export const transposeSpec: OpSpec = {
  name: 'Transpose',
  domain: '',
  inputs: [1, 1],
  infer: (context) => {
    const { dtype, dims } = inputType(context, 0);
    return [
      { dtype, dims: permutation(context.node, dims.length).map((axis) => dimAt(dims, axis)) },
    ];
  },
  reference: (node, inputs) => {
    const x = inputValue(node, inputs, 0);
    const perm = permutation(node, x.dims.length);
    const strides = stridesOf(x.dims);
    const y = makeValue(
      x.dtype,
      perm.map((axis) => dimAt(x.dims, axis)),
    );
    const index = stridedIndex(
      y.dims,
      perm.map((axis) => dimAt(strides, axis)),
    );
    for (let i = 0; i < index.length; i++) y.data[i] = x.data[index[i] as number] as number;
    return [y];
  },
  gradient: ({ node, builder, outputGradients, type }) => {
    const [g] = outputGradients;
    const [x] = node.inputs;
    if (!g || !x) return [];
    const perm = permutation(node, type(x).dims.length);
    return [
      transpose(
        builder,
        g,
        perm.map((_, axis) => perm.indexOf(axis)),
      ),
    ];
  },
};
