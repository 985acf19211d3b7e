import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { DTYPE_CODE } from '../../../src/core/dtype';
import type { DType, NumericDType } from '../../../src/core/dtype';
import { decodeNumbers, encodeNumbers, throughType } from '../../../src/core/number-format';

interface Golden {
  readonly values: readonly (number | string)[];
  readonly encode: Readonly<Record<string, readonly number[]>>;
  readonly decode: Readonly<Record<string, readonly (number | string)[]>>;
}

const golden = JSON.parse(
  readFileSync('tests/fixtures/onnx/number-formats.json', 'utf8'),
) as Golden;
const number = (text: number | string): number =>
  text === 'inf' ? Infinity : text === '-inf' ? -Infinity : Number(text);
const values = Float64Array.from(golden.values, number);

describe('small floats', () => {
  it.each(Object.keys(golden.decode))('%s is read as ml_dtypes reads it', (name) => {
    const expected = golden.decode[name]?.map(number) ?? [];
    const codes =
      name === 'float4e2m1'
        ? Uint8Array.from({ length: 8 }, (_, i) => 2 * i + (2 * i + 1) * 16)
        : Uint8Array.from(expected.keys());
    const read = decodeNumbers(name as NumericDType, codes, [expected.length]);
    expect([...read]).toEqual(expected);
  });

  it.each(Object.keys(golden.encode))('%s is rounded as ml_dtypes rounds it', (name) => {
    const dtype = name as NumericDType;
    const codes = golden.encode[name] ?? [];
    const rounded = throughType(dtype, values, false);
    const array = name.endsWith('16') ? Uint16Array.from(codes) : Uint8Array.from(codes);
    if (name === 'float4e2m1') {
      const expected = codes.map((code) => number(golden.decode[name]?.[code] ?? NaN));
      expect([...rounded]).toEqual(expected);
    } else {
      expect([...rounded]).toEqual([...decodeNumbers(dtype, array, [codes.length])]);
    }
  });

  it('saturates to the largest number, infinities too, and keeps NaN', () => {
    const wide = Float64Array.of(1e6, -1e6, Infinity, -Infinity, NaN);
    const largest = {
      float8e4m3fn: 448,
      float8e4m3fnuz: 240,
      float8e5m2: 57344,
      float8e5m2fnuz: 57344,
    };
    for (const [name, most] of Object.entries(largest)) {
      const dtype = name as NumericDType;
      expect([...throughType(dtype, wide)]).toEqual([most, -most, most, -most, NaN]);
    }
    expect([...throughType('float16', wide)]).toEqual([
      Infinity,
      -Infinity,
      Infinity,
      -Infinity,
      NaN,
    ]);
  });
});

describe('integers', () => {
  it('wrap as C casts do', () => {
    const cases: [DType, number[], number[]][] = [
      ['uint8', [-1, 256, 3.9], [255, 0, 3]],
      ['int8', [128, -129, -1.5], [-128, 127, -1]],
      ['uint16', [-1, 65536], [65535, 0]],
      ['uint32', [-1, 2 ** 32], [2 ** 32 - 1, 0]],
      ['uint64', [-1], [2 ** 64]],
      ['int64', [2 ** 63, -(2 ** 63), NaN], [2 ** 63, -(2 ** 63), 0]],
      ['bool', [0, -0, 0.5, NaN], [0, 0, 1, 1]],
      ['int4', [7, 8, -8, -9, -1], [7, -8, -8, 7, -1]],
      ['uint4', [15, 16, -1], [15, 0, 15]],
    ];
    for (const [dtype, from, to] of cases) {
      expect([...throughType(dtype as NumericDType, Float64Array.from(from))], dtype).toEqual(to);
    }
  });

  it('of four bits lie two in a byte, the first one low', () => {
    expect(encodeNumbers('int4', [1, -2, 3])).toEqual(Uint8Array.of(0xe1, 0x03));
    expect([...decodeNumbers('int4', Uint8Array.of(0xe1, 0x03), [3])]).toEqual([1, -2, 3]);
  });

  it('every numeric type gives back what it holds', () => {
    for (const dtype of Object.keys(DTYPE_CODE) as DType[]) {
      if (dtype === 'string') continue;
      const held = Float64Array.of(1, 0, 1);
      const exact = dtype === 'float8e8m0' ? Float64Array.of(1, 2, 1) : held;
      expect(throughType(dtype, exact), dtype).toEqual(exact);
    }
  });
});
