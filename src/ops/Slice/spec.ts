import type { Dim } from '../../onnx/graph';
import type { OpSpec } from '../define';
import { dimAt, inputType, isStatic, stridedIndex, stridesOf } from '../shapes';
import { inputValue, makeValue } from '../value';
import { sliceGradient } from './gradient';
import { constantRanges, hasConstantRanges, resolveSlice } from './range';
import { symbolicSlice } from './symbolic';

export const sliceSpec: OpSpec = {
  name: 'Slice',
  domain: '',
  inputs: [3, 5],
  infer: (context) => {
    const { dtype, dims } = inputType(context, 0);
    const { node } = context;
    const constant = (index: number) => context.constant(index);
    if (isStatic(dims) && hasConstantRanges(node, constant)) {
      const ranges = constantRanges(node, dims, constant);
      const length = (axis: number) => ranges.find((own) => own.axis === axis)?.length;
      return [{ dtype, dims: dims.map((dim, axis) => length(axis) ?? dim) }];
    }
    const cut = symbolicSlice(node, dims, (index) => context.elements(index));
    return [{ dtype, dims: cut ?? dims.map((_, axis): Dim => `${node.name}_${axis}`) }];
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
