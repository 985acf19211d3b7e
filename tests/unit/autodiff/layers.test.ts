import fc from 'fast-check';
import { describe, it } from 'vitest';
import { attr, TRAINING_DOMAIN } from '../../../src/onnx/graph';
import { windowCall, windowArbitrary } from '../../support/windows';
import {
  callGraph,
  distinct,
  expectGradients,
  given,
  ints,
  randomNumbers,
  uniform,
} from '../../support/calls';

const seedArbitrary = fc.integer({ min: 1, max: 1_000_000 });
const small = fc.integer({ min: 1, max: 3 });

describe('gradients of layers equal central differences', () => {
  it('MatMul of every mix of ranks', () => {
    const shapes = [
      [[3], [3]],
      [[3], [3, 2]],
      [[2, 3], [3]],
      [
        [2, 3],
        [3, 4],
      ],
      [
        [5, 2, 3],
        [3, 4],
      ],
      [
        [2, 1, 2, 3],
        [5, 3, 2],
      ],
      [
        [1, 2, 3],
        [4, 3, 2],
      ],
      [[3], [2, 3, 4]],
      [[2, 4, 3], [3]],
    ] as const;
    for (const [a, b] of shapes) {
      const random = randomNumbers(a.length * 10 + b.length);
      expectGradients({ op: 'MatMul', inputs: [uniform(random, a), uniform(random, b)] });
    }
  });

  it('Gemm with every transpose, factor and bias shape', () => {
    fc.assert(
      fc.property(
        fc.record({
          m: small,
          k: small,
          n: small,
          transA: fc.boolean(),
          transB: fc.boolean(),
          bias: fc.constantFrom('none', 'scalar', 'row', 'column', 'full'),
          seed: seedArbitrary,
        }),
        ({ m, k, n, transA, transB, bias, seed }) => {
          const random = randomNumbers(seed);
          const biasDims = { none: null, scalar: [], row: [n], column: [m, 1], full: [m, n] }[bias];
          expectGradients(
            {
              op: 'Gemm',
              inputs: [
                uniform(random, transA ? [k, m] : [m, k]),
                uniform(random, transB ? [n, k] : [k, n]),
                ...(biasDims ? [uniform(random, biasDims)] : []),
              ],
              attributes: {
                transA: attr.int(transA ? 1 : 0),
                transB: attr.int(transB ? 1 : 0),
                alpha: attr.float(0.75),
                beta: attr.float(-1.5),
              },
            },
            seed,
          );
        },
      ),
      { numRuns: 30 },
    );
  });

  it.each(['Conv', 'ConvTranspose', 'MaxPool', 'AveragePool', 'LpPool'] as const)(
    '%s over random windows',
    (op) => {
      fc.assert(
        fc.property(windowArbitrary, (window) =>
          expectGradients(windowCall(op, window), window.seed),
        ),
        { numRuns: 25 },
      );
    },
  );

  it('GlobalAveragePool', () => {
    expectGradients({ op: 'GlobalAveragePool', inputs: [uniform(randomNumbers(1), [2, 3, 4, 2])] });
  });

  it.each([
    [2, 3],
    [3, 2, 2, 3],
  ])('BatchNormalization and BatchNormTrain of shape %i, %i …', (...dims) => {
    const random = randomNumbers(4);
    const channels = [dims[1] ?? 1];
    const x = uniform(random, dims, -2, 2);
    const scale = uniform(random, channels, 0.5, 2);
    const bias = uniform(random, channels);
    const mean = { ...uniform(random, channels), constant: true };
    const variance = { ...uniform(random, channels, 0.5, 2), constant: true };
    const inputs = [x, scale, bias, mean, variance];
    const attributes = { epsilon: attr.float(1e-3) };
    expectGradients({ op: 'BatchNormalization', inputs, attributes });
    expectGradients(
      { op: 'BatchNormTrain', domain: TRAINING_DOMAIN, inputs, attributes, outputs: 5 },
      1,
      1e-4,
    );
  });

  it.each(['Softmax', 'LogSoftmax'])('%s along any axis', (op) => {
    for (const axis of [-3, -1, 0, 1]) {
      const x = uniform(randomNumbers(axis + 9), [2, 3, 2], -2, 2);
      expectGradients({ op, inputs: [x], attributes: { axis: attr.int(axis) } });
    }
  });

  it('DropoutTrain', () => {
    const mask = given('float32', [2, 2], [0, 2, 2, 0], true);
    expectGradients({
      op: 'DropoutTrain',
      domain: TRAINING_DOMAIN,
      inputs: [uniform(randomNumbers(1), [2, 2]), mask],
    });
  });

  it('SoftmaxCrossEntropy, weighted', () => {
    const labels = given('int32', [4], [0, 2, 1, 2], true);
    const weights = given('float32', [4], [1, 0.5, 0, 2], true);
    expectGradients({
      op: 'SoftmaxCrossEntropy',
      domain: TRAINING_DOMAIN,
      inputs: [uniform(randomNumbers(8), [4, 3], -3, 3), labels, weights],
      outputs: 3,
    });
  });
});

describe('gradients of reductions and moves equal central differences', () => {
  it.each(['ReduceSum', 'ReduceMean', 'ReduceMax'])('%s over random axes', (op) => {
    const arbitrary = fc.record({
      axes: fc.uniqueArray(fc.integer({ min: -3, max: 2 }), {
        maxLength: 3,
        selector: (axis) => (axis + 3) % 3,
      }),
      keep: fc.boolean(),
      seed: seedArbitrary,
    });
    fc.assert(
      fc.property(arbitrary, ({ axes, keep, seed }) => {
        const attributes = { keepdims: attr.int(keep ? 1 : 0) };
        const x = distinct(randomNumbers(seed), [2, 3, 2]);
        expectGradients({ op, inputs: [x, ints(axes)], attributes }, seed);
      }),
      { numRuns: 15 },
    );
  });

  it('Reshape, Flatten, Squeeze, Unsqueeze, Transpose, Expand, Dropout', () => {
    const x = uniform(randomNumbers(1), [2, 3, 4]);
    const thin = uniform(randomNumbers(2), [2, 1, 3, 1]);
    expectGradients({ op: 'Reshape', inputs: [x, ints([0, -1, 2])] });
    expectGradients({ op: 'Flatten', inputs: [x], attributes: { axis: attr.int(-1) } });
    expectGradients({ op: 'Squeeze', inputs: [thin, ints([-1])] });
    expectGradients({ op: 'Squeeze', inputs: [thin] });
    expectGradients({ op: 'Unsqueeze', inputs: [x, ints([0, -1])] });
    expectGradients({ op: 'Transpose', inputs: [x] });
    expectGradients({ op: 'Transpose', inputs: [x], attributes: { perm: attr.ints([1, 2, 0]) } });
    expectGradients({ op: 'Expand', inputs: [thin, ints([5, 2, 4, 3, 2])] });
    expectGradients({ op: 'Dropout', inputs: [x] });
  });

  it('Concat, Split, Gather, Pad', () => {
    const random = randomNumbers(6);
    const axis = { axis: attr.int(-2) };
    const parts = [2, 1, 3].map((length) => uniform(random, [2, length, 2]));
    expectGradients({ op: 'Concat', inputs: parts, attributes: axis });
    const x = uniform(random, [2, 5, 2]);
    expectGradients({ op: 'Split', inputs: [x, ints([2, 3])], attributes: axis, outputs: 2 });
    const indices = given('int64', [2, 3], [0, -1, 2, 2, 1, 0], true);
    for (const at of [0, 1, -1]) {
      const data = uniform(random, [3, 3, 3]);
      expectGradients({
        op: 'Gather',
        inputs: [data, indices],
        attributes: { axis: attr.int(at) },
      });
    }
    expectGradients({ op: 'Pad', inputs: [x, ints([0, 1, 2, 1, 0, 3])] });
    expectGradients({
      op: 'Pad',
      inputs: [x, ints([2, 1]), given('float32', [], [3], true), ints([-1])],
    });
  });

  it('Slice with any start, end and step', () => {
    const arbitrary = fc.record({
      start: fc.integer({ min: -8, max: 8 }),
      end: fc.integer({ min: -8, max: 8 }),
      step: fc.constantFrom(-3, -2, -1, 1, 2, 3),
      axis: fc.integer({ min: -2, max: 1 }),
      seed: seedArbitrary,
    });
    fc.assert(
      fc.property(arbitrary, ({ start, end, step, axis, seed }) => {
        const x = uniform(randomNumbers(seed), [5, 7]);
        const inputs = [x, ints([start]), ints([end]), ints([axis]), ints([step])];
        const [y] = callGraph({ op: 'Slice', inputs }).graph.outputs;
        fc.pre(y !== undefined && !y.dims.includes(0));
        expectGradients({ op: 'Slice', inputs }, seed);
      }),
      { numRuns: 60 },
    );
  });
});
