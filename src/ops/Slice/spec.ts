import type { Dim } from '../../onnx/graph';
import type { OpSpec } from '../define';
import { inputType, stridedIndex, stridesOf, dimAt } from '../shapes';
import { inputValue, makeValue } from '../value';
import { sliceGradient } from './gradient';
import { constantRanges, hasConstantRanges, resolveSlice } from './range';

export const sliceSpec: OpSpec = {
  name: 'Slice',
  domain: '',
  inputs: [3, 5],
  infer: (context) => {
    const { dtype, dims } = inputType(context, 0);
    const { node } = context;
    const constant = (index: number) => context.constant(index);
    const unknown = (axis: number): Dim => `${node.name}_${axis}`;
    if (!hasConstantRanges(node, constant)) {
      return [{ dtype, dims: dims.map((_, axis) => unknown(axis)) }];
    }
    const ranges = constantRanges(node, dims, constant);
    const length = (dim: Dim, axis: number): Dim => {
      const range = ranges.find((own) => own.axis === axis);
      if (!range) return dim;
      if (typeof dim === 'number') return range.length;
      // Everything of an open axis, forwards or backwards, is as long as the axis.
      return range.whole ? dim : unknown(axis);
    };
    return [{ dtype, dims: dims.map(length) }];
  },
  reference: (node, inputs) => {
    const x = inputValue(node, inputs, 0);
    const numbers = (index: number) => inputs[index] && Array.from(inputs[index].data);
    const ranges = resolveSlice(
      node,
      x.dims,
      Array.from(inputValue(node, inputs, 1).data),
      Array.from(inputValue(node, inputs, 2).data),
      numbers(3),
      numbers(4),
    );
    const strides = stridesOf(x.dims);
    const dims = [...x.dims];
    const steps = [...strides];
    let offset = 0;
    for (const { axis, start, step, length } of ranges) {
      dims[axis] = length;
      offset += start * dimAt(strides, axis);
      steps[axis] = step * dimAt(strides, axis);
    }
    const y = makeValue(x.dtype, dims);
    const index = stridedIndex(dims, steps, offset);
    for (let i = 0; i < index.length; i++) y.data[i] = x.data[index[i] as number] as number;
    return [y];
  },
  gradient: sliceGradient,
};
