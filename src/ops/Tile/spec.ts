import { mulDims } from '../../onnx/dim';
import { attr } from '../../onnx/graph';
import type { Dim } from '../../onnx/graph';
import type { OpSpec } from '../define';
import { reshapeTo } from '../gradients';
import { dimAt, inputType, shapeError, stridesOf } from '../shapes';
import { inputValue, makeValue } from '../value';

export const tileSpec: OpSpec = {
  name: 'Tile',
  domain: '',
  inputs: [2, 2],
  infer: (context) => {
    const { node } = context;
    const { dtype, dims } = inputType(context, 0);
    const repeats = context.elements(1);
    if (repeats && repeats.length !== dims.length) {
      throw shapeError(node, 'repeats', `${dims.length} long`, String(repeats.length));
    }
    const tiled = (dim: Dim, axis: number): Dim => {
      const times = repeats?.[axis];
      return times === undefined ? `${node.name}_${axis}` : mulDims(times, dim);
    };
    return [{ dtype, dims: dims.map(tiled) }];
  },
  reference: (node, inputs) => {
    const x = inputValue(node, inputs, 0);
    const repeats = Array.from(inputValue(node, inputs, 1).data);
    const y = makeValue(
      x.dtype,
      x.dims.map((dim, axis) => dim * dimAt(repeats, axis)),
    );
    const own = stridesOf(x.dims);
    const outer = stridesOf(y.dims);
    for (let i = 0; i < y.data.length; i++) {
      let from = 0;
      for (let axis = 0; axis < own.length; axis++) {
        const coordinate = Math.floor(i / dimAt(outer, axis)) % dimAt(x.dims, axis);
        from += coordinate * dimAt(own, axis);
      }
      y.data[i] = x.data[from] as number;
    }
    return [y];
  },
  gradient: ({ node, builder, outputGradients, type }) => {
    const [g] = outputGradients;
    const [x = ''] = node.inputs;
    const [y = ''] = node.outputs;
    if (!g) return [];
    // Each axis as [repeats, length]; the repeats are summed.
    const { dims } = type(x);
    const split = dims.flatMap((dim, axis) => {
      const whole = dimAt(type(y).dims, axis);
      return [dim === 0 ? 0 : whole / dim, dim];
    });
    const sum = builder.node(
      'ReduceSum',
      [reshapeTo(builder, g, split), builder.ints(dims.map((_, axis) => 2 * axis))],
      { keepdims: attr.int(0) },
    );
    return [dims.length === 0 ? g : sum];
  },
};
