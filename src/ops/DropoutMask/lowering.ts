/** Dropout masks drawn on the graphics processor, element by element, bit for bit those of core/philox.ts. */
import { f32 } from '../lowering/address';
import { input, outputType } from '../lowering/context';
import type { Lowering } from '../lowering/plan';
import { dropoutMaskSettings } from './spec';

/** (dropout_key [4]) -> mask */
export const dropoutMask: Lowering = (context) => {
  const { dims, threshold, kept, purpose, rowSize } = dropoutMaskSettings(context.node);
  const word = (at: number) => `u32(x0(${at}))`;
  const mask = context.plan.pointwise({
    label: 'DropoutMask',
    inputs: [input(context, 0)],
    output: outputType(context),
    lets: `  let row = index / ${rowSize};
  let place = index % ${rowSize};
  let counter = vec4<u32>(u32(place / 4), ${word(3)} * ${dims[0] ?? 1}u + u32(row), ${word(2)}, ${purpose >>> 0}u);
  let words = philox(counter, vec2<u32>(${word(0)}, ${word(1)}));`,
    value: `select(${f32(kept)}, 0.0, words[place % 4] < ${Math.min(threshold, 0xffffffff)}u)`,
  });
  return [mask];
};
