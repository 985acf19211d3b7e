/** Random 2-D windows for convolution and pooling. */
import fc from 'fast-check';
import { attr } from '../../src/onnx/graph';
import type { Attribute } from '../../src/onnx/graph';
import { distinct, randomNumbers, uniform } from './calls';
import type { Call } from './calls';

const upTo = (max: number) => fc.integer({ min: 1, max });
const pad = fc.integer({ min: 0, max: 2 });

export const windowArbitrary = fc
  .record({
    batch: upTo(2),
    group: upTo(2),
    channels: upTo(2),
    filters: upTo(2),
    height: fc.integer({ min: 3, max: 6 }),
    width: fc.integer({ min: 3, max: 6 }),
    kernel: fc.tuple(upTo(3), upTo(3)),
    strides: fc.tuple(upTo(3), upTo(3)),
    dilations: fc.tuple(upTo(2), upTo(2)),
    pads: fc.tuple(pad, pad, pad, pad),
    bias: fc.boolean(),
    includePad: fc.boolean(),
    seed: fc.integer({ min: 1, max: 1_000_000 }),
  })
  .filter(({ height, width, kernel, dilations, pads }) => {
    const span = (axis: 0 | 1) => (kernel[axis] - 1) * dilations[axis] + 1;
    return span(0) <= height + pads[0] + pads[2] && span(1) <= width + pads[1] + pads[3];
  });

export type RandomWindow = typeof windowArbitrary extends fc.Arbitrary<infer T> ? T : never;

/** The call of an operator on such a window. Pooling pads stay below the kernel, as onnxruntime asks. */
export function windowCall(op: 'Conv' | 'MaxPool' | 'AveragePool', window: RandomWindow): Call {
  const random = randomNumbers(window.seed);
  const { batch, group, channels, filters, height, width, kernel } = window;
  const attributes: Record<string, Attribute> = {
    kernel_shape: attr.ints(kernel),
    strides: attr.ints(window.strides),
    dilations: attr.ints(window.dilations),
    pads: attr.ints(window.pads),
  };
  if (op === 'Conv') {
    const x = uniform(random, [batch, channels * group, height, width]);
    const w = uniform(random, [filters * group, channels, ...kernel]);
    const bias = window.bias ? [uniform(random, [filters * group])] : [];
    return { op, inputs: [x, w, ...bias], attributes: { ...attributes, group: attr.int(group) } };
  }
  const limit = (axis: number) =>
    Math.min(window.pads[axis as 0] ?? 0, (kernel[axis % 2] ?? 1) - 1);
  attributes.pads = attr.ints([0, 1, 2, 3].map(limit));
  // A dilated window may then be longer than the picture.
  const fits = ([0, 1] as const).every((axis) => {
    const span = (kernel[axis] - 1) * window.dilations[axis] + 1;
    return span <= (axis === 0 ? height : width) + limit(axis) + limit(axis + 2);
  });
  if (!fits) attributes.dilations = attr.ints([1, 1]);
  if (op === 'AveragePool') attributes.count_include_pad = attr.int(window.includePad ? 1 : 0);
  return { op, inputs: [distinct(random, [batch, channels, height, width])], attributes };
}
