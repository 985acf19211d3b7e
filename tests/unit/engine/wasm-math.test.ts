/** The functions that are polynomials in emitted code, against the double precision of JavaScript. */
import { describe, expect, it } from 'vitest';
import { GraphBuilder } from '../../../src/onnx/builder';
import { erf } from '../../../src/ops/elementwise/erf';
import { openEngine, runSimd } from '../../support/simd';

const engine = openEngine();

/** `op` of these numbers, rounded to float32 first. */
async function apply(op: string, numbers: readonly number[]): Promise<Float32Array> {
  const builder = new GraphBuilder('math');
  const dims = [numbers.length];
  const x = builder.input('x', 'float32', dims);
  builder.output(builder.node(op, [x], {}, { outputs: ['y'] }), 'float32', dims);
  const data = Float64Array.from(numbers, Math.fround);
  const found = await runSimd(
    engine,
    builder.build(),
    new Map([['x', { dtype: 'float32', dims, data }]]),
  );
  const y = found?.get('y');
  if (y === undefined) throw new Error(`${op} has no kernel.`);
  return y;
}

/** Distance in units of the last place of the right float32. */
function units(found: number, right: number): number {
  const exponent = Math.floor(Math.log2(Math.max(Math.abs(right), 2 ** -126)));
  return Math.abs(found - right) / 2 ** (exponent - 23);
}

const between = (low: number, high: number, count = 4001): number[] =>
  Array.from({ length: count }, (_, i) => low + ((high - low) * i) / (count - 1));
const around = (...sizes: readonly number[]): number[] =>
  sizes.flatMap((size) => between(-size, size));

describe('functions within a few units of the last place', () => {
  it.each([
    ['Exp', Math.exp, between(-86.9, 88.7), 2],
    ['Log', Math.log, [...between(1e-6, 4), ...between(1, 1e30), 1e-40, 3e38], 2],
    ['Tanh', Math.tanh, around(1e-3, 0.7, 3, 20), 3],
    ['Erf', erf, around(1e-3, 0.99, 1.5, 6), 4],
    ['Sigmoid', (x: number) => 1 / (1 + Math.exp(-x)), around(1, 20, 80), 4],
    ['Sinh', Math.sinh, around(0.1, 5, 80), 4],
    ['Cosh', Math.cosh, around(1, 80), 4],
  ] as const)('%s', async (op, compute, numbers, most) => {
    const found = await apply(op, numbers);
    const worst = numbers
      .map((x, i) => ({ x, error: units(found[i] ?? NaN, compute(Math.fround(x))) }))
      .reduce((a, b) => (b.error > a.error || Number.isNaN(b.error) ? b : a));
    expect(worst.error, `${op}(${worst.x})`).toBeLessThan(most);
  });

  it.each([
    ['Sin', Math.sin],
    ['Cos', Math.cos],
  ] as const)('%s, beside its own size', async (op, compute) => {
    const numbers = around(1e-2, 7, 1000);
    const found = await apply(op, numbers);
    numbers.forEach((x, i) => {
      expect(Math.abs((found[i] ?? NaN) - compute(Math.fround(x))), `${op}(${x})`).toBeLessThan(
        2e-7,
      );
    });
  });
});

it('keeps limits, signs and NaN', async () => {
  const inputs = [NaN, Infinity, -Infinity, 0, -0];
  const expected: Readonly<Record<string, readonly number[]>> = {
    Exp: [NaN, Infinity, 0, 1, 1],
    Log: [NaN, Infinity, NaN, -Infinity, -Infinity],
    Tanh: [NaN, 1, -1, 0, -0],
    Erf: [NaN, 1, -1, 0, -0],
    Sigmoid: [NaN, 1, 0, 0.5, 0.5],
    Relu: [NaN, Infinity, 0, 0, -0],
    Sign: [NaN, 1, -1, 0, -0],
  };
  for (const [op, values] of Object.entries(expected)) {
    const found = await apply(op, inputs);
    values.forEach((value, i) => {
      // A zero's sign is not promised.
      expect(value === 0 ? Math.abs(found[i] ?? NaN) : found[i], `${op}(${inputs[i]})`).toBe(
        Math.abs(value) === 0 ? 0 : value,
      );
    });
  }
});
