/** Gradients of the operators on pictures, over random windows and settings, against central differences. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { runGraph } from '../../../src/engine/reference/run-graph';
import { attr, TRAINING_DOMAIN } from '../../../src/onnx/graph';
import type { Attribute } from '../../../src/onnx/graph';
import {
  callGraph,
  distinct,
  evaluate,
  given,
  gradientGraph,
  ints,
  randomNumbers,
  uniform,
} from '../../support/calls';
import type { Call } from '../../support/calls';
import { awayFrom, checkGradients, seeds } from '../../support/gradient-check';
import { windowArbitrary, windowCall } from '../../support/windows';
import type { RandomWindow } from '../../support/windows';

const text = (values: Readonly<Record<string, string>>): Record<string, Attribute> =>
  Object.fromEntries(Object.entries(values).map(([name, value]) => [name, attr.string(value)]));
const omitted = undefined;
const scale = fc.double({ min: 0.5, max: 2.2, noNaN: true });
/** What float32 constants of an expansion cost. */
const CONSTANTS = { tolerance: 1e-5 };

/** The gradient operator of a call, as a call of its own with random values. */
function gradientCall(call: Call, op: string, window: RandomWindow): Call {
  const { graph } = gradientGraph(
    call,
    randomNumbers(window.seed),
    ['x0', 'x1'].slice(0, call.inputs.length),
  );
  const node = graph.nodes.find((each) => each.op === op);
  if (!node) throw new Error(`The gradient of ${call.op} has no ${op}.`);
  const random = randomNumbers(window.seed + 1);
  const y = evaluate(call)[0]?.dims ?? [];
  const [x, w] = call.inputs;
  const second = op === 'ConvGradInput' ? w : op === 'ConvGradWeight' ? x : omitted;
  const inputs = [uniform(random, y), ...(second ? [second] : [])];
  return { op, domain: TRAINING_DOMAIN, inputs, attributes: Object.fromEntries(node.attributes) };
}

describe('windows', () => {
  it.each(['Conv', 'ConvTranspose', 'MaxPool', 'AveragePool', 'LpPool'] as const)('%s', (op) => {
    fc.assert(
      fc.property(windowArbitrary, (window) =>
        checkGradients(windowCall(op, window), { seed: window.seed, elements: 8 }),
      ),
      { numRuns: 20 },
    );
  });

  it.each([
    ['Conv', 'ConvGradInput'],
    ['Conv', 'ConvGradWeight'],
    ['AveragePool', 'AveragePoolGrad'],
  ] as const)('of %s again: %s', (op, gradient) => {
    fc.assert(
      fc.property(windowArbitrary, (window) =>
        checkGradients(gradientCall(windowCall(op, window), gradient, window), { elements: 8 }),
      ),
      { numRuns: 10 },
    );
  });

  it('ConvTranspose of a shape that the windows do not fill', () => {
    const random = randomNumbers(2);
    const inputs = [uniform(random, [1, 4, 3, 2]), uniform(random, [4, 1, 2, 2])];
    const strides = attr.ints([3, 3]);
    const group = attr.int(2);
    const output_shape = attr.ints([9, 7]);
    checkGradients({
      op: 'ConvTranspose',
      inputs,
      attributes: { strides, group, output_shape },
    });
  });

  it('depthwise Conv with strides and ragged padding', () => {
    const random = randomNumbers(3);
    const inputs = [uniform(random, [2, 3, 6, 5]), uniform(random, [3, 1, 3, 3])];
    const attributes = {
      group: attr.int(3),
      strides: attr.ints([2, 2]),
      pads: attr.ints([0, 0, 1, 1]),
    };
    checkGradients({ op: 'Conv', inputs, attributes });
  });

  it.each(['GlobalMaxPool', 'GlobalLpPool', 'GlobalAveragePool'])('%s', (op) => {
    for (const p of op === 'GlobalLpPool' ? [1, 2, 3] : [0]) {
      const attributes: Record<string, Attribute> = p === 0 ? {} : { p: attr.int(p) };
      checkGradients({ op, inputs: [distinct(randomNumbers(4), [2, 2, 3, 4])], attributes });
    }
  });

  it.each(['MaxPool', 'GlobalMaxPool'])('%s gives ties to the first', (op) => {
    const x = given('float32', [1, 1, 2, 3], [1, 5, 5, 5, 0, 5]);
    const attributes: Record<string, Attribute> =
      op === 'MaxPool' ? { kernel_shape: attr.ints([2, 3]) } : {};
    const { graph, gradients, feeds } = gradientGraph(
      { op, inputs: [x], attributes },
      randomNumbers(5),
      ['x0'],
    );
    const found = runGraph(graph, feeds).get(gradients.get('x0') ?? '');
    expect(Array.from(found?.data ?? [], (value) => value !== 0)).toEqual([
      false,
      true,
      false,
      false,
      false,
      false,
    ]);
  });

  it('the p-norm of zeros has the gradient 0', () => {
    for (const op of ['LpPool', 'GlobalLpPool']) {
      const x = given('float32', [1, 1, 4], [0, 0, 3, 4]);
      const attributes: Record<string, Attribute> =
        op === 'LpPool' ? { kernel_shape: attr.ints([2]), strides: attr.ints([2]) } : {};
      const call = { op, inputs: [x], attributes };
      const { graph, gradients, feeds } = gradientGraph(call, randomNumbers(6), ['x0']);
      const found = runGraph(graph, feeds).get(gradients.get('x0') ?? '');
      expect(Array.from(found?.data ?? []).slice(0, 2)).toEqual([0, 0]);
      expect(found?.data.every(Number.isFinite)).toBe(true);
    }
  });

  it('MaxUnpool', () => {
    const x = uniform(randomNumbers(7), [1, 2, 2, 2]);
    const indices = given('int64', [1, 2, 2, 2], [0, 3, 9, 14, 17, 19, 24, 31], true);
    const attributes = { kernel_shape: attr.ints([2, 2]), strides: attr.ints([2, 2]) };
    checkGradients({ op: 'MaxUnpool', inputs: [x, indices], attributes });
    checkGradients({ op: 'MaxUnpool', inputs: [x, indices, ints([1, 2, 5, 4])], attributes });
  });
});

describe('sampling', () => {
  it.each(['nearest', 'linear', 'cubic'])('Resize, %s', (mode) => {
    fc.assert(
      fc.property(
        fc.record({
          transform: fc.constantFrom(
            'half_pixel',
            'half_pixel_symmetric',
            'pytorch_half_pixel',
            'align_corners',
            'asymmetric',
            'tf_crop_and_resize',
          ),
          scales: fc.tuple(scale, scale),
          axes: fc.constantFrom([2, 3], [3, 0], [1, 2]),
          antialias: fc.boolean(),
          exclude: fc.boolean(),
          seed: seeds,
        }),
        ({ transform, scales, axes, antialias, exclude, seed }) => {
          const x = uniform(randomNumbers(seed), [2, 3, 4, 5]);
          const roi = given('float32', [4], [0.1, -0.2, 0.9, 1.1], true);
          const factors = given('float32', [2], scales.map(Math.fround), true);
          const attributes = {
            ...text({ mode, coordinate_transformation_mode: transform }),
            axes: attr.ints(axes),
            antialias: attr.int(antialias && mode !== 'nearest' ? 1 : 0),
            exclude_outside: attr.int(exclude ? 1 : 0),
          };
          const call = { op: 'Resize', inputs: [x, roi, factors], attributes };
          checkGradients(call, { seed, ...CONSTANTS, elements: 16 });
        },
      ),
      { numRuns: 25 },
    );
  });

  it.each(['nearest', 'linear', 'cubic'])('GridSample, %s, picture and grid', (mode) => {
    for (const padding of ['zeros', 'border', 'reflection']) {
      for (const align of [0, 1]) {
        const random = randomNumbers(align + padding.length);
        const x = uniform(random, [2, 2, 4, 4]);
        // Points stay off the lines on which a position is whole or half: there value or slope jump.
        const kinks = Array.from({ length: 33 }, (_, line) => (line - 16) / (align ? 3 : 4));
        const halves = kinks.map((line) => line + (align ? 1 / 6 : 1 / 8));
        const grid = awayFrom(random, [2, 3, 2, 2], [...kinks, ...halves], [-1.6, 1.6]);
        const attributes = {
          ...text({ mode, padding_mode: padding }),
          align_corners: attr.int(align),
        };
        const wrt = mode === 'nearest' ? [0] : [0, 1];
        const call = { op: 'GridSample', inputs: [x, grid], attributes };
        checkGradients(call, { wrt, ...CONSTANTS, elements: 6 });
      }
    }
  });

  it('GridSample in a volume, AffineGrid', () => {
    const random = randomNumbers(9);
    const volume = uniform(random, [1, 2, 2, 3, 2]);
    const grid = uniform(random, [1, 2, 1, 2, 3], -0.3, -0.1);
    checkGradients({ op: 'GridSample', inputs: [volume, grid] }, { ...CONSTANTS, elements: 12 });
    const size = ints([2, 1, 3, 2]);
    checkGradients({ op: 'AffineGrid', inputs: [uniform(random, [2, 2, 3]), size] }, CONSTANTS);
  });

  it('Col2Im, DepthToSpace, SpaceToDepth, CenterCropPad', () => {
    const random = randomNumbers(10);
    const attributes = { strides: attr.ints([1, 2]), pads: attr.ints([1, 0, 0, 1]) };
    const columns = uniform(random, [2, 8, 6]);
    checkGradients({ op: 'Col2Im', inputs: [columns, ints([3, 4]), ints([2, 2])], attributes });
    const blocksize = attr.int(2);
    for (const mode of ['DCR', 'CRD']) {
      const call = {
        inputs: [uniform(random, [1, 8, 2, 2])],
        attributes: { blocksize, ...text({ mode }) },
      };
      checkGradients({ op: 'DepthToSpace', ...call });
      checkGradients({ op: 'SpaceToDepth', ...call });
    }
    const picture = uniform(random, [2, 3, 5]);
    const { graph } = callGraph({ op: 'CenterCropPad', inputs: [picture, ints([2, 6, 2])] });
    expect(graph.outputs[0]?.dims).toEqual([2, 6, 2]);
    checkGradients({ op: 'CenterCropPad', inputs: [picture, ints([2, 6, 2])] });
  });
});
