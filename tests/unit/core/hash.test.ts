import { describe, expect, it } from 'vitest';
import { canonicalJson, hashJson, sha256Hex } from '../../../src/core/hash';

describe('sha256Hex', () => {
  it('gives the standard digests', async () => {
    expect(await sha256Hex(new Uint8Array())).toBe(
      'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855',
    );
    expect(await sha256Hex(new TextEncoder().encode('abc'))).toBe(
      'ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad',
    );
  });

  it('hashes only the view, of any kind of memory', async () => {
    const expected = await sha256Hex(new Uint8Array([2, 3]));
    expect(await sha256Hex(new Uint8Array([1, 2, 3, 4]).subarray(1, 3))).toBe(expected);
    const shared = new Uint8Array(new SharedArrayBuffer(2));
    shared.set([2, 3]);
    expect(await sha256Hex(shared)).toBe(expected);
  });
});

describe('canonicalJson', () => {
  it("writes RFC 8785's examples", () => {
    expect(
      canonicalJson({
        numbers: [Number('333333333.33333329'), 1e30, 4.5, 2e-3, 0.000000000000000000000000001],
        string: '\u20ac$\u000f\nA\'B"\\\\"/',
        literals: [null, true, false],
      }),
    ).toBe(
      '{"literals":[null,true,false],"numbers":[333333333.3333333,1e+30,4.5,0.002,1e-27],' +
        '"string":"€$\\u000f\\nA\'B\\"\\\\\\\\\\"/"}',
    );
    expect(canonicalJson({ '\u20ac': 1, '\r': 2, '1': 3, '\ud83d\ude00': 4, '\ufb33': 5 })).toBe(
      '{"\\r":2,"1":3,"€":1,"😀":4,"\ufb33":5}',
    );
    expect(canonicalJson(-0)).toBe('0');
  });

  it('does not depend on the order of keys', async () => {
    expect(await hashJson({ a: 1, b: [{ d: 1, c: 2 }] })).toBe(
      await hashJson({ b: [{ c: 2, d: 1 }], a: 1 }),
    );
  });

  it.each([
    [{ a: Number.NaN }, '$.a'],
    [[1, Infinity], '$[1]'],
    [{ a: undefined }, '$.a'],
    [{ a: new Map() }, '$.a'],
    [1n, '$'],
    ['\ud800', '$'],
  ])('refuses what JSON cannot hold: case %#', (value, path) => {
    expect(() => canonicalJson(value)).toThrow(path);
  });

  it('takes __proto__ as an ordinary name', () => {
    expect(canonicalJson(JSON.parse('{"__proto__":1}'))).toBe('{"__proto__":1}');
  });
});
