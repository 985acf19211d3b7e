/** Random windows over one to three axes for convolutions and pools. */
import fc from 'fast-check';
import { attr } from '../../src/onnx/graph';
import type { Attribute } from '../../src/onnx/graph';
import { distinct, randomNumbers, uniform } from './calls';
import type { Call } from './calls';

const upTo = (max: number) => fc.integer({ min: 1, max });
const pad = fc.integer({ min: 0, max: 2 });

function windowsOf(rank: number) {
  const each = <T>(arbitrary: fc.Arbitrary<T>) =>
    fc.array(arbitrary, { minLength: rank, maxLength: rank });
  // Pictures of more axes are smaller, so that a test stays quick.
  const longest = [9, 6, 4][rank - 1] ?? 4;
  return fc.record({
    batch: upTo(2),
    group: upTo(3),
    channels: upTo(2),
    filters: upTo(2),
    space: each(fc.integer({ min: Math.min(3, longest - 1), max: longest })),
    kernel: each(upTo(3)),
    strides: each(upTo(3)),
    dilations: each(upTo(2)),
    pads: fc.array(pad, { minLength: 2 * rank, maxLength: 2 * rank }),
    outputPadding: each(fc.integer({ min: 0, max: 2 })),
    autoPad: fc.constantFrom('NOTSET', 'NOTSET', 'VALID', 'SAME_UPPER', 'SAME_LOWER'),
    bias: fc.boolean(),
    includePad: fc.boolean(),
    ceil: fc.boolean(),
    seed: fc.integer({ min: 1, max: 1_000_000 }),
  });
}

/** Two axes half of the time. */
export const windowArbitrary = fc
  .constantFrom(1, 2, 2, 3)
  .chain(windowsOf)
  .filter(({ space, kernel, dilations, pads, autoPad }) =>
    space.every((length, axis) => {
      const more = autoPad === 'NOTSET' ? at(pads, axis) + at(pads, axis + space.length) : 0;
      return spanOf(at(kernel, axis), at(dilations, axis)) <= length + more;
    }),
  );

export type RandomWindow = typeof windowArbitrary extends fc.Arbitrary<infer T> ? T : never;
export type WindowOp = 'Conv' | 'ConvTranspose' | 'MaxPool' | 'AveragePool' | 'LpPool';

const at = (values: readonly number[], index: number): number => values[index] ?? 0;
const spanOf = (kernel: number, dilation: number): number => (kernel - 1) * dilation + 1;

/** The call of an operator on such a window, with what onnxruntime takes too. */
export function windowCall(op: WindowOp, window: RandomWindow): Call {
  const random = randomNumbers(window.seed);
  const { batch, group, channels, filters, space, kernel, strides, autoPad } = window;
  const { dilations, pads } = window;
  const attributes: Record<string, Attribute> = {
    kernel_shape: attr.ints(kernel),
    strides: attr.ints(strides),
    dilations: attr.ints(dilations),
  };
  if (op === 'Conv') {
    // onnxruntime takes automatic padding only without dilations.
    const auto = autoPad !== 'NOTSET' && dilations.every((dilation) => dilation === 1);
    Object.assign(attributes, {
      ...(auto ? { auto_pad: attr.string(autoPad) } : { pads: attr.ints(pads) }),
      group: attr.int(group),
    });
    const x = uniform(random, [batch, channels * group, ...space]);
    const w = uniform(random, [filters * group, channels, ...kernel]);
    const bias = window.bias ? [uniform(random, [filters * group])] : [];
    return { op, inputs: [x, w, ...bias], attributes };
  }
  if (op === 'ConvTranspose') {
    // Less padding than the window is long leaves something of the picture.
    const limited = pads.map((value, i) => {
      const axis = i % space.length;
      return Math.min(value, Math.floor((spanOf(at(kernel, axis), at(dilations, axis)) - 1) / 2));
    });
    const more = window.outputPadding.map((value, axis) => Math.min(value, at(strides, axis) - 1));
    Object.assign(attributes, {
      pads: attr.ints(limited),
      output_padding: attr.ints(more),
      group: attr.int(group),
    });
    const x = uniform(random, [batch, channels * group, ...space]);
    const w = uniform(random, [channels * group, filters, ...kernel]);
    const bias = window.bias ? [uniform(random, [filters * group])] : [];
    return { op, inputs: [x, w, ...bias], attributes };
  }
  // Pooling pads stay below the kernel, as onnxruntime asks; a dilated window may then be longer than the picture.
  const limited = pads.map((value, i) => Math.min(value, at(kernel, i % space.length) - 1));
  const fits = space.every((length, axis) => {
    const span = spanOf(at(kernel, axis), at(dilations, axis));
    return span <= length + at(limited, axis) + at(limited, axis + space.length);
  });
  attributes.pads = attr.ints(limited);
  if (!fits) attributes.dilations = attr.ints(dilations.map(() => 1));
  if (window.ceil) attributes.ceil_mode = attr.int(1);
  if (op === 'AveragePool') attributes.count_include_pad = attr.int(window.includePad ? 1 : 0);
  if (op === 'LpPool') attributes.p = attr.int((window.seed % 3) + 1);
  return { op, inputs: [distinct(random, [batch, channels, ...space])], attributes };
}
