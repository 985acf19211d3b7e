/**
 * Puts pooled values back where MaxPool found them: (X, indices, output_shape?) -> zeros with X in them. The indices
 * count in the picture that the window implies; a larger `output_shape` adds zeros behind it.
 */
import { sizeOf } from '../../core/dtype';
import { addDims, mulDims } from '../../onnx/dim';
import type { Dim, Node } from '../../onnx/graph';
import { windowSettings } from '../Conv/window';
import type { OpSpec } from '../define';
import { reshapeTo, zeros } from '../gradients';
import { dimAt, inputType, shapeError, shapeText, stridedIndex, stridesOf } from '../shapes';
import { inputValue, makeValue } from '../value';

/** The picture that was pooled, as far as the window tells. */
function impliedDims(node: Node, dims: readonly Dim[]): Dim[] {
  const space = windowSettings(node, dims).map(({ kernel, stride, pads }, axis) =>
    addDims(mulDims(dimAt(dims, axis + 2), stride), kernel - stride - pads[0] - pads[1]),
  );
  return [...dims.slice(0, 2), ...space];
}

function checkRoom(node: Node, from: readonly number[], to: readonly number[]): void {
  if (from.length === to.length && from.every((dim, axis) => dim <= dimAt(to, axis))) return;
  throw shapeError(node, 'output_shape', `at least ${shapeText(from)}`, shapeText(to));
}

export const maxUnpoolSpec: OpSpec = {
  name: 'MaxUnpool',
  domain: '',
  inputs: [2, 3],
  infer: (context) => {
    const { dtype, dims } = inputType(context, 0);
    const implied = impliedDims(context.node, dims);
    if ((context.node.inputs[2] ?? '') === '') return [{ dtype, dims: implied }];
    const shape = context.elements(2);
    const unknown = dims.map((_, axis) => `${context.node.name}_${axis}`);
    return [{ dtype, dims: shape ?? unknown }];
  },
  reference: (node, inputs) => {
    const x = inputValue(node, inputs, 0);
    const indices = inputValue(node, inputs, 1);
    const implied = impliedDims(node, x.dims) as number[];
    const small = makeValue(x.dtype, implied);
    x.data.forEach((value, i) => {
      const at = indices.data[i] as number;
      if (!(at >= 0 && at < small.data.length)) {
        throw shapeError(node, 'the indices', `below ${small.data.length}`, String(at));
      }
      small.data[at] = value;
    });
    if (!inputs[2]) return [small];
    const dims = Array.from(inputs[2].data);
    checkRoom(node, implied, dims);
    const y = makeValue(x.dtype, dims);
    const places = stridedIndex(implied, stridesOf(dims));
    places.forEach((at, i) => (y.data[at] = small.data[i] as number));
    return [y];
  },
  expand: ({ node, builder, type }) => {
    const [x = '', indices = ''] = node.inputs;
    const [y = ''] = node.outputs;
    const implied = impliedDims(node, type(x).dims) as number[];
    const count = sizeOf(type(x).dims);
    const scattered = builder.node('ScatterND', [
      zeros(builder, [sizeOf(implied)]),
      reshapeTo(builder, indices, [count, 1]),
      reshapeTo(builder, x, [count]),
    ]);
    const small = reshapeTo(builder, scattered, implied);
    const dims = type(y).dims;
    checkRoom(node, implied, dims);
    const more = dims.map((dim, axis) => dim - dimAt(implied, axis));
    if (more.every((length) => length === 0)) return [small];
    return [builder.node('Pad', [small, builder.ints([...more.map(() => 0), ...more])])];
  },
};
