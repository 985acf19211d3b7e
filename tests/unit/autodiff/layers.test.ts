import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { differentiate } from '../../../src/autodiff/differentiate';
import { AppError } from '../../../src/core/errors';
import { runGraph } from '../../../src/engine/reference/run-graph';
import { GraphBuilder } from '../../../src/onnx/builder';
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

describe('differentiate', () => {
  it('adds up what arrives along several ways', () => {
    // loss = Σ (x·x + x), so the gradient is 2x + 1.
    const builder = new GraphBuilder('twice');
    const x = builder.input('x', 'float32', [3]);
    const sum = builder.node('Add', [builder.node('Mul', [x, x]), x]);
    builder.node('ReduceSum', [sum], { keepdims: attr.int(0) }, { outputs: ['loss'] });
    const { graph, gradients } = differentiate(builder.build(), { numerator: 'loss' }, ['x']);
    const name = gradients.get('x') ?? '';
    const outputs = [{ name, dtype: 'float32', dims: [3] }] as const;
    const data = Float64Array.of(-1, 0, 2);
    const feeds = new Map([['x', { dtype: 'float32', dims: [3], data } as const]]);
    const result = runGraph({ ...graph, outputs }, feeds).get(name)?.data;
    expect(Array.from(result ?? [])).toEqual([-1, 1, 5]);
  });

  it('prunes what no trainable needs, and gives zeros to what the loss does not reach', () => {
    const builder = new GraphBuilder('prune');
    const [a, b, c] = ['a', 'b', 'c'].map((name) => builder.input(name, 'float32', [2]));
    const product = builder.node('Mul', [a ?? '', b ?? '']);
    builder.node('ReduceSum', [product], { keepdims: attr.int(0) }, { outputs: ['loss'] });
    const before = builder.build().nodes.length;
    const { graph, gradients } = differentiate(builder.build(), { numerator: 'loss' }, ['a', 'c']);
    const added = graph.nodes.slice(before).map(({ op }) => op);
    expect(added.sort()).toEqual(['Expand', 'Expand', 'Mul']);
    const outputs = [...gradients.values()].map(
      (name) => ({ name, dtype: 'float32', dims: [2] }) as const,
    );
    const feed = (values: number[]) =>
      ({ dtype: 'float32', dims: [2], data: Float64Array.from(values) }) as const;
    const results = runGraph(
      { ...graph, outputs },
      new Map([
        ['a', feed([1, 2])],
        ['b', feed([3, 4])],
        ['c', feed([5, 6])],
      ]),
    );
    expect(c && Array.from(results.get(gradients.get('c') ?? '')?.data ?? [])).toEqual([0, 0]);
    expect(Array.from(results.get(gradients.get('a') ?? '')?.data ?? [])).toEqual([3, 4]);
  });

  it('names the node and operator that cannot be differentiated', () => {
    const builder = new GraphBuilder('hot');
    const x = builder.input('x', 'float32', [2]);
    const indices = builder.ints([0, 2]);
    const depth = builder.constant('int64', [], [3]);
    const hot = builder.node('OneHot', [indices, depth, x], {}, { name: 'hard' });
    builder.node('ReduceSum', [hot], { keepdims: attr.int(0) }, { outputs: ['loss'] });
    let error: unknown;
    try {
      differentiate(builder.build(), { numerator: 'loss' }, ['x']);
    } catch (caught) {
      error = caught;
    }
    expect(error).toBeInstanceOf(AppError);
    expect((error as AppError).code).toBe('autodiff/not-differentiable');
    expect((error as AppError).message).toContain('"hard" (OneHot)');
  });

  it('refuses a loss that is not one number', () => {
    const builder = new GraphBuilder('vector');
    builder.node('Neg', [builder.input('x', 'float32', [2])], {}, { outputs: ['loss'] });
    expect(() => differentiate(builder.build(), { numerator: 'loss' }, ['x'])).toThrow(
      /one number/,
    );
  });
});
