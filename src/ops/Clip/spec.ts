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
    // Where the lower bound is above the upper one, the upper one is all that comes out.
    const crossed = low && high && (wants(1) || wants(2)) ? e('Greater', low, high) : undefined;
    const outside = (held: string, bound: string) =>
      sumTo(builder, e('Where', held, 0, g), dims, type(bound).dims);
    const dLow = () => {
      if (!low || !aboveLow) return undefined;
      return outside(crossed ? e('Or', aboveLow, crossed) : aboveLow, low);
    };
    const dHigh = () => {
      if (!high || !belowHigh) return undefined;
      return outside(crossed ? e('And', belowHigh, e('Not', crossed)) : belowHigh, high);
    };
    return [
      inside && wants(0) ? e('Where', inside, g, 0) : g,
      wants(1) ? dLow() : undefined,
      wants(2) ? dHigh() : undefined,
    ];
  },
};
