/** Text on the interpreter: to and from numbers, and through operators that only move or compare. */
import { describe, expect, it } from 'vitest';
import { runGraph } from '../../../src/engine/reference/run-graph';
import { GraphBuilder } from '../../../src/onnx/builder';
import { attr } from '../../../src/onnx/graph';
import type { Attribute, Tensor } from '../../../src/onnx/graph';
import { inferShapes, staticType } from '../../../src/ops/infer-shapes';
import { tensorOf } from '../../../src/ops/value';

function run(
  op: string,
  inputs: readonly Tensor[],
  attributes: Readonly<Record<string, Attribute>> = {},
): Tensor {
  const builder = new GraphBuilder('text');
  const names = inputs.map(({ dtype, dims }, index) => builder.input(`x${index}`, dtype, dims));
  const y = builder.node(op, names, attributes);
  const { dtype, dims } = staticType(inferShapes(builder.build()), y);
  builder.output(y, dtype, dims);
  const feeds = new Map(inputs.map((tensor, index) => [`x${index}`, tensor]));
  const value = runGraph(builder.build(), feeds).get(y);
  if (!value) throw new Error('no result');
  expect(value.dtype).toBe(dtype);
  return tensorOf(value);
}

const text = (...data: string[]): Tensor => ({ dtype: 'string', dims: [data.length], data });
const floats = (...data: number[]): Tensor => ({
  dtype: 'float32',
  dims: [data.length],
  data: Float32Array.from(data),
});
const to = (code: number) => ({ to: attr.int(code) });

describe('text', () => {
  it('becomes numbers: plain, scientific, infinite and not a number', () => {
    const given = text('0.47892547', '1e-5', '1E8', 'NaN', 'INF', '+inf', '-INF', ' 7 ');
    const numbers = [0.47892547, 1e-5, 1e8, NaN, Infinity, Infinity, -Infinity, 7];
    expect(run('Cast', [given], to(1)).data).toEqual(Float32Array.from(numbers));
    expect(run('Cast', [text('12', '-3')], to(7)).data).toEqual(BigInt64Array.of(12n, -3n));
    expect(run('CastLike', [text('2.5'), floats(0)]).data).toEqual(Float32Array.of(2.5));
  });

  it('is written with the fewest digits that read back as the same number', () => {
    const numbers = floats(0.1, 0.47892547, 16777216, 1e-9, -0.5, NaN, Infinity, -Infinity);
    const written = ['0.1', '0.47892547', '16777216', '1e-9', '-0.5', 'NaN', 'INF', '-INF'];
    expect(run('Cast', [numbers], to(8)).data).toEqual(written);
    const whole: Tensor = { dtype: 'int64', dims: [2], data: BigInt64Array.of(-12n, 0n) };
    expect(run('CastLike', [whole, text('')]).data).toEqual(['-12', '0']);
  });

  it.each(['', 'seven', '1,5', 'infinite'])('refuses to make a number of "%s"', (word) => {
    expect(() => run('Cast', [text(word)], to(1))).toThrow(/is to be made a number/);
  });

  it('is gathered, joined, chosen and compared', () => {
    const [a, b] = [text('red', 'green', 'ä'), text('red', 'blue', 'ä')];
    expect(run('Equal', [a, b]).data).toEqual(Uint8Array.of(1, 0, 1));
    const index: Tensor = { dtype: 'int64', dims: [2], data: BigInt64Array.of(2n, 0n) };
    expect(run('Gather', [b, index]).data).toEqual(['ä', 'red']);
    expect(run('Concat', [a, b], { axis: attr.int(0) }).data).toHaveLength(6);
    const choice: Tensor = { dtype: 'bool', dims: [3], data: Uint8Array.of(0, 1, 0) };
    expect(run('Where', [choice, a, b]).data).toEqual(['red', 'green', 'ä']);
  });

  it('comes out of Constant', () => {
    const many = { value_strings: attr.strings(['a', 'b']) };
    expect(run('Constant', [], many)).toEqual(text('a', 'b'));
    const one = { value_string: attr.string('a') };
    expect(run('Constant', [], one)).toEqual({ dtype: 'string', dims: [], data: ['a'] });
  });
});
