import fc from 'fast-check';
import { describe, it } from 'vitest';
import { attr } from '../../../src/onnx/graph';
import { distinct, given, randomNumbers, uniform } from '../../support/calls';
import type { Call } from '../../support/calls';
import { checkGradients } from '../../support/gradient-check';

/** The tolerance is what float32 constants of a gradient cost. */
const expectGradients = (call: Call, seed = 1) => checkGradients(call, { seed, tolerance: 1e-5 });

const dimsArbitrary = fc.array(fc.integer({ min: 1, max: 3 }), { minLength: 0, maxLength: 3 });
const seedArbitrary = fc.integer({ min: 1, max: 1_000_000 });

/** Two shapes that broadcast: some axes of a common shape cut to 1, some leading ones dropped. */
const pairArbitrary = fc
  .record({
    dims: dimsArbitrary,
    cuts: fc.array(fc.boolean(), { minLength: 6, maxLength: 6 }),
    drop: fc.integer({ min: 0, max: 2 }),
    swap: fc.boolean(),
    seed: seedArbitrary,
  })
  .map(({ dims, cuts, drop, swap, seed }) => {
    const a = dims.map((dim, axis) => (cuts[axis] && cuts[axis + 3] ? 1 : dim));
    const b = dims.map((dim, axis) => (cuts[axis] && !cuts[axis + 3] ? 1 : dim)).slice(drop);
    return swap ? { a: b, b: a, seed } : { a, b, seed };
  });

const UNARY: readonly (readonly [string, number, number])[] = [
  ['Identity', -2, 2],
  ['Neg', -2, 2],
  ['Exp', -2, 2],
  ['Log', 0.2, 3],
  ['Sqrt', 0.2, 3],
  ['Reciprocal', 0.4, 3],
  ['Erf', -3, 3],
  ['Tanh', -2, 2],
  ['Sigmoid', -4, 4],
  ['Softplus', -4, 4],
  ['Gelu', -3, 3],
];

describe('gradients of elementwise operators equal central differences', () => {
  it.each(UNARY)('%s', (op, low, high) => {
    fc.assert(
      fc.property(dimsArbitrary, seedArbitrary, (dims, seed) =>
        expectGradients({ op, inputs: [uniform(randomNumbers(seed), dims, low, high)] }, seed),
      ),
      { numRuns: 8 },
    );
  });

  it.each(['Relu', 'Abs'])('%s away from its kink', (op) => {
    fc.assert(
      fc.property(dimsArbitrary, seedArbitrary, (dims, seed) =>
        expectGradients({ op, inputs: [distinct(randomNumbers(seed), dims)] }, seed),
      ),
      { numRuns: 8 },
    );
  });

  it('Gelu in its tanh form', () => {
    const x = uniform(randomNumbers(5), [4, 5], -3, 3);
    expectGradients({ op: 'Gelu', inputs: [x], attributes: { approximate: attr.string('tanh') } });
  });

  it.each(['Add', 'Sub', 'Mul', 'Div', 'Pow'])('%s with broadcasting', (op) => {
    fc.assert(
      fc.property(pairArbitrary, ({ a, b, seed }) => {
        const random = randomNumbers(seed);
        expectGradients(
          { op, inputs: [uniform(random, a, 0.5, 2), uniform(random, b, 0.5, 2)] },
          seed,
        );
      }),
      { numRuns: 25 },
    );
  });

  it('Pow of negative bases by a constant', () => {
    const x = uniform(randomNumbers(2), [6], -2, -0.5);
    expectGradients({ op: 'Pow', inputs: [x, given('float32', [], [3], true)] });
  });

  it.each(['Min', 'Max'])('%s of three inputs', (op) => {
    fc.assert(
      fc.property(pairArbitrary, ({ a, b, seed }) => {
        const random = randomNumbers(seed);
        const shift = (amount: number, dims: readonly number[]) => {
          const argument = distinct(random, dims);
          return { ...argument, data: argument.data.map((x) => Math.fround(x + amount)) };
        };
        expectGradients({ op, inputs: [shift(0, a), shift(0.04, b), shift(0.08, a)] }, seed);
      }),
      { numRuns: 20 },
    );
  });

  it('Where with a broadcast condition', () => {
    fc.assert(
      fc.property(pairArbitrary, ({ a, b, seed }) => {
        const random = randomNumbers(seed);
        const size = a.reduce((product, dim) => product * dim, 1);
        const bits = Array.from({ length: size }, () => (random() < 0.5 ? 1 : 0));
        expectGradients(
          { op: 'Where', inputs: [given('bool', a, bits), uniform(random, b), uniform(random, a)] },
          seed,
        );
      }),
      { numRuns: 20 },
    );
  });

  it.each([
    ['both bounds', [-0.5, 0.7]],
    ['a lower bound', [-0.5, undefined]],
    ['an upper bound', [undefined, 0.7]],
    ['no bound', [undefined, undefined]],
  ] as const)('Clip with %s', (_, [low, high]) => {
    const bound = (value: number | undefined) =>
      value === undefined ? undefined : given('float32', [], [value], true);
    const x = distinct(randomNumbers(9), [3, 7]);
    expectGradients({ op: 'Clip', inputs: [x, bound(low), bound(high)] });
  });
});
