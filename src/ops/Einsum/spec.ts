/** Einstein's sum over labelled axes (numpy.einsum), of any number of operands. */
import { sizeOf } from '../../core/dtype';
import type { OpSpec, ReferenceKernel } from '../define';
import { inputType, stridedIndex, stridesOf } from '../shapes';
import { inputValue, makeValue } from '../value';
import { parseEquation } from './equation';
import { expandEinsum } from './expand';

/** As the definition says: for each output element, the products over all values of the other labels. */
const reference: ReferenceKernel = (node, inputs) => {
  const values = inputs.map((_, index) => inputValue(node, inputs, index));
  const { operands, output, sizes } = parseEquation(
    node,
    values.map(({ dims }) => dims),
  );
  const inner = [...sizes.keys()].filter((label) => !output.includes(label));
  const dimsOf = (labels: readonly string[]) => labels.map((label) => sizes.get(label) as number);
  const walks = values.map(({ dims }, index) => {
    const strides = stridesOf(dims);
    // A label met twice moves along the diagonal; an axis of length 1 does not move.
    const along = (label: string) =>
      (operands[index] ?? []).reduce(
        (sum, other, axis) =>
          sum + (other === label && dims[axis] !== 1 ? (strides[axis] as number) : 0),
        0,
      );
    return {
      outer: stridedIndex(dimsOf(output), output.map(along)),
      inner: stridedIndex(dimsOf(inner), inner.map(along)),
    };
  });
  const result = makeValue(values[0]?.dtype ?? 'float32', dimsOf(output));
  const steps = sizeOf(dimsOf(inner));
  for (let o = 0; o < result.data.length; o++) {
    let total = 0;
    for (let i = 0; i < steps; i++) {
      let product = 1;
      values.forEach(({ data }, index) => {
        const walk = walks[index];
        product *= data[(walk?.outer[o] as number) + (walk?.inner[i] as number)] as number;
      });
      total += product;
    }
    result.data[o] = total;
  }
  return [result];
};

export const einsumSpec: OpSpec = {
  name: 'Einsum',
  domain: '',
  inputs: [1, Infinity],
  infer: (context) => {
    const types = context.node.inputs.map((_, index) => inputType(context, index));
    const { output, sizes } = parseEquation(
      context.node,
      types.map(({ dims }) => dims),
    );
    return [
      { dtype: types[0]?.dtype ?? 'float32', dims: output.map((label) => sizes.get(label) ?? 1) },
    ];
  },
  reference,
  expand: expandEinsum,
};
