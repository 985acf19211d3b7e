/** Crops or pads with zeros around the middle: (X, shape) -> axes of those lengths. The odd one is at the end. */
import type { Dim, Node } from '../../onnx/graph';
import { intsAttribute } from '../attributes';
import type { OpSpec } from '../define';
import { dimAt, inputType, normalizeAxis, stridedIndex, stridesOf } from '../shapes';
import { inputValue, makeValue } from '../value';

function axesOf(node: Node, rank: number): number[] {
  if (!node.attributes.has('axes')) return Array.from({ length: rank }, (_, axis) => axis);
  return intsAttribute(node, 'axes').map((axis) => normalizeAxis(node, axis, rank));
}

/** What is cut from the start of each axis and what is put before it. */
function shifts(from: readonly number[], to: readonly number[]) {
  const half = (more: number) => Math.max(0, Math.floor(more / 2));
  return {
    cut: from.map((dim, axis) => half(dim - dimAt(to, axis))),
    before: from.map((dim, axis) => half(dimAt(to, axis) - dim)),
    kept: from.map((dim, axis) => Math.min(dim, dimAt(to, axis))),
  };
}

export const centerCropPadSpec: OpSpec = {
  name: 'CenterCropPad',
  domain: '',
  inputs: [2, 2],
  infer: (context) => {
    const { node } = context;
    const { dtype, dims } = inputType(context, 0);
    const shape = context.elements(1);
    const result: Dim[] = [...dims];
    axesOf(node, dims.length).forEach((axis, at) => {
      result[axis] = shape?.[at] ?? `${node.name}_${axis}`;
    });
    return [{ dtype, dims: result }];
  },
  reference: (node, inputs) => {
    const x = inputValue(node, inputs, 0);
    const shape = inputValue(node, inputs, 1);
    const dims = [...x.dims];
    axesOf(node, dims.length).forEach((axis, at) => (dims[axis] = shape.data[at] as number));
    const { cut, before, kept } = shifts(x.dims, dims);
    const y = makeValue(x.dtype, dims);
    const indexOf = (of: readonly number[], start: readonly number[]) => {
      const strides = stridesOf(of);
      const first = start.reduce((sum, steps, axis) => sum + steps * dimAt(strides, axis), 0);
      return stridedIndex(kept, strides, first);
    };
    const from = indexOf(x.dims, cut);
    const to = indexOf(dims, before);
    from.forEach((at, i) => (y.data[to[i] as number] = x.data[at] as number));
    return [y];
  },
  expand: ({ node, builder, type }) => {
    const [x = ''] = node.inputs;
    const [y = ''] = node.outputs;
    const to = type(y).dims;
    const { cut, before, kept } = shifts(type(x).dims, to);
    const after = to.map((dim, axis) => dim - dimAt(before, axis) - dimAt(kept, axis));
    const cropped = builder.node('Slice', [
      x,
      builder.ints(cut),
      builder.ints(cut.map((start, axis) => start + dimAt(kept, axis))),
      builder.ints(cut.map((_, axis) => axis)),
    ]);
    if ([...before, ...after].every((more) => more === 0)) return [cropped];
    return [builder.node('Pad', [cropped, builder.ints([...before, ...after])])];
  },
};
