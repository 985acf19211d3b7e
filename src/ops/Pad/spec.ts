import type { Dim, Node } from '../../onnx/graph';
import { stringAttribute, unsupported } from '../attributes';
import type { OpSpec } from '../define';
import { dimAt, inputType, normalizeAxis, shapeError, stridedIndex, stridesOf } from '../shapes';
import { inputValue, makeValue, numbersOf } from '../value';

interface Padding {
  readonly before: readonly number[];
  readonly after: readonly number[];
}

/** Lengths added before and after each axis. */
function paddingOf(
  node: Node,
  rank: number,
  pads: readonly number[],
  axes: readonly number[] | undefined,
): Padding {
  if (stringAttribute(node, 'mode', 'constant') !== 'constant') {
    throw unsupported(node, 'pads otherwise than with a constant');
  }
  const on = axes?.map((axis) => normalizeAxis(node, axis, rank));
  const count = on?.length ?? rank;
  if (pads.length !== 2 * count) {
    throw shapeError(node, 'pads', `${2 * count} long`, String(pads.length));
  }
  if (pads.some((pad) => pad < 0)) throw unsupported(node, 'uses negative pads');
  const side = (offset: number) =>
    Array.from({ length: rank }, (_, axis) => {
      const at = on ? on.indexOf(axis) : axis;
      return at === -1 ? 0 : dimAt(pads, offset + at);
    });
  return { before: side(0), after: side(count) };
}

export const padSpec: OpSpec = {
  name: 'Pad',
  domain: '',
  inputs: [2, 4],
  infer: (context) => {
    const { node } = context;
    const { dtype, dims } = inputType(context, 0);
    const [pads, axes] = [context.constant(1), context.constant(3)];
    if (!pads || (node.inputs[3] && !axes)) {
      return [{ dtype, dims: dims.map((_, axis): Dim => `${node.name}_${axis}`) }];
    }
    const padding = paddingOf(node, dims.length, numbersOf(pads), axes && numbersOf(axes));
    return [
      {
        dtype,
        dims: dims.map((dim, axis): Dim => {
          const more = dimAt(padding.before, axis) + dimAt(padding.after, axis);
          if (more === 0) return dim;
          return typeof dim === 'number' ? dim + more : `${node.name}_${axis}`;
        }),
      },
    ];
  },
  reference: (node, inputs) => {
    const x = inputValue(node, inputs, 0);
    const { before, after } = paddingOf(
      node,
      x.dims.length,
      Array.from(inputValue(node, inputs, 1).data),
      inputs[3] && Array.from(inputs[3].data),
    );
    const y = makeValue(
      x.dtype,
      x.dims.map((dim, axis) => dim + dimAt(before, axis) + dimAt(after, axis)),
    );
    y.data.fill(inputs[2]?.data[0] ?? 0);
    const strides = stridesOf(y.dims);
    const offset = strides.reduce((sum, stride, axis) => sum + stride * dimAt(before, axis), 0);
    const index = stridedIndex(x.dims, strides, offset);
    for (let i = 0; i < index.length; i++) y.data[index[i] as number] = x.data[i] as number;
    return [y];
  },
  gradient: ({ node, builder, outputGradients, type, constant }) => {
    const [g] = outputGradients;
    const [x] = node.inputs;
    const [pads, axes] = [constant(1), constant(3)];
    if (!g || !x || !pads) return [];
    const dims = type(x).dims;
    const { before } = paddingOf(node, dims.length, numbersOf(pads), axes && numbersOf(axes));
    return [
      builder.node('Slice', [
        g,
        builder.ints(before),
        builder.ints(dims.map((dim, axis) => dim + dimAt(before, axis))),
        builder.ints(dims.map((_, axis) => axis)),
      ]),
    ];
  },
};
