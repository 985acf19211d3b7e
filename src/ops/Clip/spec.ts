import type { OpSpec } from '../define';
import { emitter, sumTo } from '../gradients';
import { inputType } from '../shapes';
import { inputValue, makeValue } from '../value';

/** The gradient passes where min <= x <= max, bounds included; elsewhere it is the bound's. */
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
  gradient: ({ node, builder, outputGradients, type, wants }) => {
    const [g] = outputGradients;
    const [x, low, high] = node.inputs;
    if (!g || !x) return [];
    const { dtype, dims } = type(x);
    const e = emitter(builder, dtype);
    const aboveLow = low ? e('GreaterOrEqual', x, low) : undefined;
    const belowHigh = high ? e('LessOrEqual', x, high) : undefined;
    const inside = aboveLow && belowHigh ? e('And', aboveLow, belowHigh) : (aboveLow ?? belowHigh);
    const rest = (condition: string, bound: string) =>
      sumTo(builder, e('Where', condition, 0, g), dims, type(bound).dims);
    return [
      inside && wants(0) ? e('Where', inside, g, 0) : g,
      // Where both bounds hold x, the upper one is what comes out.
      low && aboveLow && wants(1)
        ? rest(belowHigh ? e('Or', aboveLow, e('Not', belowHigh)) : aboveLow, low)
        : undefined,
      high && belowHigh && wants(2) ? rest(belowHigh, high) : undefined,
    ];
  },
};
