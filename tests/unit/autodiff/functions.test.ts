/** Gradients of elementwise functions and reductions over random shapes and attributes, against central differences. */
import fc from 'fast-check';
import { describe, it } from 'vitest';
import { attr } from '../../../src/onnx/graph';
import type { Attribute } from '../../../src/onnx/graph';
import { distinct, given, ints, randomNumbers, uniform } from '../../support/calls';
import type { Argument } from '../../support/calls';
import {
  awayFrom,
  broadcastShapes,
  checkGradients,
  seeds,
  shapes,
  shapeWithAxes,
} from '../../support/gradient-check';

/** What float32 constants of a gradient cost. */
const CONSTANTS = { tolerance: 1e-5 };
const floats = (values: Readonly<Record<string, number>>): Record<string, Attribute> =>
  Object.fromEntries(Object.entries(values).map(([name, value]) => [name, attr.float(value)]));

describe('functions of one input', () => {
  it.each([
    ['Sin', -3, 3],
    ['Cos', -3, 3],
    ['Tan', -1, 1],
    ['Asin', -0.9, 0.9],
    ['Acos', -0.9, 0.9],
    ['Atan', -3, 3],
    ['Sinh', -2, 2],
    ['Cosh', -2, 2],
    ['Asinh', -3, 3],
    ['Acosh', 1.2, 4],
    ['Atanh', -0.9, 0.9],
    ['Mish', -4, 4],
  ] as const)('%s', (op, low, high) => {
    fc.assert(
      fc.property(shapes(0, 3), seeds, (dims, seed) =>
        checkGradients({ op, inputs: [uniform(randomNumbers(seed), dims, low, high)] }, { seed }),
      ),
      { numRuns: 6 },
    );
  });

  it.each([
    ['Softsign', [0], {}],
    ['LeakyRelu', [0], { alpha: 0.2 }],
    ['ThresholdedRelu', [0.7], { alpha: 0.7 }],
    ['Elu', [0], { alpha: 1.5 }],
    ['Celu', [0], { alpha: 2 }],
    ['Selu', [0], {}],
    ['Selu', [0], { alpha: 1.2, gamma: 0.8 }],
    ['HardSigmoid', [-1.25, 1.25], { alpha: 0.4 }],
    ['HardSwish', [-3, 3], {}],
    ['Shrink', [-0.5, 0.5], { bias: 0.2 }],
    ['Swish', [], { alpha: 1.7 }],
    ['Ceil', [-4, -3, -2, -1, 0, 1, 2, 3, 4], {}],
    ['Floor', [-4, -3, -2, -1, 0, 1, 2, 3, 4], {}],
    ['Round', [-3.5, -2.5, -1.5, -0.5, 0.5, 1.5, 2.5, 3.5], {}],
    ['Sign', [0], {}],
  ] as const)('%s away from %j', (op, kinks, attributes) => {
    fc.assert(
      fc.property(shapes(0, 3), seeds, (dims, seed) => {
        const x = awayFrom(randomNumbers(seed), dims, kinks, [-4, 4]);
        checkGradients({ op, inputs: [x], attributes: floats(attributes) }, { seed, ...CONSTANTS });
      }),
      { numRuns: 8 },
    );
  });
});

describe('functions of two and more inputs', () => {
  it.each([0, 1])('Mod with fmod = %i', (fmod) => {
    fc.assert(
      fc.property(broadcastShapes(2), seeds, ([a = [], b = []], seed) => {
        const random = randomNumbers(seed);
        const whole = uniform(random, b, 1, 3);
        // Quotients of the form n + ¼ … n + ¾ stay away from the steps.
        const x = uniform(random, a, 0.3, 0.7);
        if (whole.data.length !== 1) return;
        const divisor = whole.data[0] as number;
        const steps = x.data.map((v) => Math.fround((v + Math.floor(random() * 5) - 2) * divisor));
        const inputs = [{ ...x, data: steps }, whole];
        checkGradients({ op: 'Mod', inputs, attributes: { fmod: attr.int(fmod) } }, { seed });
      }),
      { numRuns: 30 },
    );
  });

  it.each(['Sum', 'Mean'])('%s of one to three inputs', (op) => {
    fc.assert(
      fc.property(
        broadcastShapes(3),
        fc.integer({ min: 1, max: 3 }),
        seeds,
        (dims, count, seed) => {
          const random = randomNumbers(seed);
          const inputs = dims.slice(0, count).map((each) => uniform(random, each));
          checkGradients({ op, inputs }, { seed, ...CONSTANTS });
        },
      ),
      { numRuns: 15 },
    );
  });

  it('PRelu, its slope broadcast', () => {
    fc.assert(
      fc.property(seeds, (seed) => {
        const random = randomNumbers(seed);
        const x = awayFrom(random, [2, 3, 4], [0]);
        const slopes = [[3, 1], [4], [1], [2, 1, 4]].map((dims) => uniform(random, dims));
        for (const slope of slopes) checkGradients({ op: 'PRelu', inputs: [x, slope] }, { seed });
      }),
      { numRuns: 4 },
    );
  });

  it('Pow: whole exponents of another type, and the zeroth and second power at 0', () => {
    const random = randomNumbers(4);
    const x = uniform(random, [5], -2, 2);
    checkGradients({ op: 'Pow', inputs: [x, given('int64', [5], [1, 2, 3, 4, 0])] });
    const zeros = given('float32', [3], [0, 0, 0.5]);
    checkGradients({ op: 'Pow', inputs: [zeros, given('float32', [3], [0, 2, 0], true)] });
    const exponents = given('float32', [2], [2.5, 1.5]);
    checkGradients({ op: 'Pow', inputs: [given('float32', [2], [0, 2], true), exponents] });
  });

  it('Clip, its bounds included', () => {
    const x = distinct(randomNumbers(3), [3, 5]);
    const bound = (value: number): Argument => given('float32', [], [value]);
    checkGradients({ op: 'Clip', inputs: [x, bound(-0.5), bound(0.4)] });
    checkGradients({ op: 'Clip', inputs: [x, undefined, bound(0.1)] });
    // Where the bounds cross, the upper one is the result everywhere.
    checkGradients({ op: 'Clip', inputs: [x, bound(0.6), bound(-0.4)] });
  });

  it('Cast between floating-point types', () => {
    const x: Argument = { ...uniform(randomNumbers(3), [4]), dtype: 'float64' };
    checkGradients({ op: 'Cast', inputs: [x], attributes: { to: attr.int(1) } });
    checkGradients({ op: 'CastLike', inputs: [x, given('float32', [1], [0], true)] });
  });
});

describe('reductions', () => {
  const OPS = [
    ...['ReduceSum', 'ReduceMean', 'ReduceMax', 'ReduceMin', 'ReduceProd', 'ReduceL1', 'ReduceL2'],
    ...['ReduceLogSum', 'ReduceLogSumExp', 'ReduceSumSquare'],
  ];
  const settings = fc.record({
    shape: shapeWithAxes(1, 3),
    keepdims: fc.boolean(),
    noop: fc.boolean(),
    seed: seeds,
  });

  it.each(OPS)('%s over random axes', (op) => {
    fc.assert(
      fc.property(settings, ({ shape: { dims, axes }, keepdims, noop, seed }) => {
        const random = randomNumbers(seed);
        const apart = ['ReduceMax', 'ReduceMin', 'ReduceL1'].includes(op);
        const x = apart ? distinct(random, dims) : uniform(random, dims, 0.4, 2);
        checkGradients(
          {
            op,
            inputs: [x, ints(axes)],
            attributes: {
              keepdims: attr.int(keepdims ? 1 : 0),
              noop_with_empty_axes: attr.int(noop ? 1 : 0),
            },
          },
          { seed, ...CONSTANTS },
        );
      }),
      { numRuns: 15 },
    );
  });

  it('ReduceProd where one element or two are 0', () => {
    const x = given('float32', [3, 3], [1, 0, 2, 0, 3, 0, 1.5, 2, -1]);
    checkGradients({ op: 'ReduceProd', inputs: [x, ints([1])] });
  });

  it('ReduceL2 and ReduceLogSumExp of large numbers', () => {
    const x = given('float32', [2, 2], [900, 899, -700, -701]);
    checkGradients({ op: 'ReduceLogSumExp', inputs: [x, ints([1])] });
  });
});

describe('products and shares', () => {
  it.each([
    [
      [3, 4],
      [4, 2],
    ],
    [
      [2, 1, 3, 4],
      [3, 4, 2],
    ],
    [
      [3, 4],
      [2, 4, 2],
    ],
    [[4], [4, 2]],
    [[2, 3, 4], [4]],
    [[4], [4]],
  ])('MatMul of %j and %j', (a, b) => {
    const random = randomNumbers(a.length * 8 + b.length);
    checkGradients({ op: 'MatMul', inputs: [uniform(random, a), uniform(random, b)] });
  });

  it.each([
    [0, 0, [2]],
    [1, 0, [3, 1]],
    [0, 1, []],
    [1, 1, [3, 2]],
  ])('Gemm, transA %i, transB %i, C of %j', (transA, transB, c) => {
    const random = randomNumbers(7);
    const inputs = [
      uniform(random, transA ? [4, 3] : [3, 4]),
      uniform(random, transB ? [2, 4] : [4, 2]),
      uniform(random, c),
    ];
    const attributes = {
      ...floats({ alpha: 0.5, beta: 2 }),
      transA: attr.int(transA),
      transB: attr.int(transB),
    };
    checkGradients({ op: 'Gemm', inputs, attributes });
  });

  it.each(['Softmax', 'LogSoftmax'])('%s along each axis', (op) => {
    const x = uniform(randomNumbers(9), [2, 3, 4], -2, 2);
    for (const axis of [-1, 0, 1]) {
      checkGradients({ op, inputs: [x], attributes: { axis: attr.int(axis) } });
    }
  });
});
