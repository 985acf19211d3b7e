/** Values of all rounds of a Loop or Scan laid together along a new axis. */
import { attr } from '../../onnx/graph';
import type { GraphBuilder } from '../../onnx/builder';
import type { Value } from '../define';
import { makeValue } from '../value';

/** @param none shape of one round where there was none */
export function stackValues(
  rounds: readonly Value[],
  axis: number,
  none: { readonly dtype: Value['dtype']; readonly dims: readonly number[] },
): Value {
  const { dtype, dims } = rounds[0] ?? none;
  const y = makeValue(dtype, [...dims.slice(0, axis), rounds.length, ...dims.slice(axis)]);
  const inner = dims.slice(axis).reduce((size, dim) => size * dim, 1);
  rounds.forEach(({ data }, round) => {
    for (let o = 0; o * inner < data.length; o++) {
      const to = (o * rounds.length + round) * inner;
      y.data.set(data.subarray(o * inner, (o + 1) * inner), to);
    }
  });
  return y;
}

export function stackNames(builder: GraphBuilder, rounds: readonly string[], axis: number): string {
  const column = builder.ints([axis]);
  const parts = rounds.map((name) => builder.node('Unsqueeze', [name, column]));
  const [only] = parts;
  if (parts.length === 1 && only !== undefined) return only;
  return builder.node('Concat', parts, { axis: attr.int(axis) });
}
