import type { OpSpec } from '../define';
import { inputType } from '../shapes';
import { inputValue, makeValue } from '../value';

/** The gradient passes where min <= x <= max, bounds included; the bounds themselves get none. */
export const clipSpec: OpSpec = {
  name: 'Clip',
  domain: '',
  inputs: [1, 3],
  infer: (context) => [inputType(context, 0)],
  reference: (node, inputs) => {
    const x = inputValue(node, inputs, 0);
    const low = inputs[1]?.data[0] ?? -Infinity;
    const high = inputs[2]?.data[0] ?? Infinity;
    const data = x.data.map((value) => (value < low ? low : value));
    return [
      makeValue(
        x.dtype,
        x.dims,
        data.map((value) => (value > high ? high : value)),
      ),
    ];
  },
  gradient: ({ node, builder, outputGradients }) => {
    const [g] = outputGradients;
    const [x, low, high] = node.inputs;
    if (!g || !x) return [];
    const inside = [
      ...(low ? [builder.node('GreaterOrEqual', [x, low])] : []),
      ...(high ? [builder.node('LessOrEqual', [x, high])] : []),
    ];
    const [first, second] = inside;
    if (!first) return [g];
    const condition = second ? builder.node('And', [first, second]) : first;
    return [builder.node('Where', [condition, g, builder.scalar(0)])];
  },
};
