import { describe, expect, it } from 'vitest';
import {
  dropoutKey,
  fillDropoutMask,
  normals,
  permutation,
  philox4x32,
  PhiloxStream,
  purposeHash,
} from '../../../src/core/philox';

const hex = (words: readonly number[]): string =>
  words.map((word) => word.toString(16).padStart(8, '0')).join(' ');

describe('philox4x32', () => {
  // Known-answer vectors of Random123 1.09 (kat_vectors, philox4x32 10).
  it('gives the published words', () => {
    expect(hex(philox4x32([0, 0, 0, 0], [0, 0]))).toBe('6627e8d5 e169c58d bc57ac4c 9b00dbd8');
    const ones = 0xffffffff;
    expect(hex(philox4x32([ones, ones, ones, ones], [ones, ones]))).toBe(
      '408f276d 41c83b0e a20bc7c6 6d5451fd',
    );
    expect(
      hex(philox4x32([0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344], [0xa4093822, 0x299f31d0])),
    ).toBe('d16cfe09 94fdcceb 5001e420 24126ea1');
  });

  it('hashes purposes by FNV-1a', () => {
    expect(purposeHash('')).toBe(0x811c9dc5);
    expect(purposeHash('foobar')).toBe(0xbf9cf968);
  });
});

describe('streams', () => {
  it('repeat for equal arguments and differ in seed, purpose and index', () => {
    const draw = (seed: number, purpose: string, index: number): string => {
      const stream = new PhiloxStream(seed, purpose, index);
      return hex([stream.uint32(), stream.uint32(), stream.uint32(), stream.uint32()]);
    };
    const seen = new Set([
      draw(1, 'a', 0),
      draw(1, 'a', 1),
      draw(1, 'b', 0),
      draw(2, 'a', 0),
      draw(2 ** 32 + 1, 'a', 0),
    ]);
    expect(seen.size).toBe(5);
    expect(draw(1, 'a', 0)).toBe(draw(1, 'a', 0));
  });

  it('give normals with the right moments', () => {
    const values = normals(100_000, 2, 7, 'moments');
    let sum = 0;
    let squares = 0;
    let within = 0;
    for (const value of values) {
      sum += value;
      squares += value * value;
      if (Math.abs(value) < 2) within++;
    }
    expect(Math.abs(sum / values.length)).toBeLessThan(0.03);
    expect(Math.sqrt(squares / values.length)).toBeCloseTo(2, 1);
    expect(within / values.length).toBeCloseTo(0.6827, 2);
  });

  it('draw below a bound evenly', () => {
    const stream = new PhiloxStream(3, 'below');
    const counts = new Array<number>(6).fill(0);
    for (let i = 0; i < 60_000; i++) {
      const value = stream.below(6);
      counts[value] = (counts[value] ?? 0) + 1;
    }
    // 5 degrees of freedom: chi-square above 20.5 has probability 0.001.
    const chi = counts.reduce((total, count) => total + (count - 10_000) ** 2 / 10_000, 0);
    expect(chi).toBeLessThan(20.5);
  });

  it('refuse a seed that is not a whole number', () => {
    expect(() => new PhiloxStream(1.5, 'x')).toThrow(/whole number/);
    expect(() => new PhiloxStream(-1, 'x')).toThrow(/whole number/);
  });
});

describe('permutation', () => {
  it('holds each index once and changes with the epoch', () => {
    const first = permutation(1000, 5, 'shuffle', 0);
    expect([...first].sort((a, b) => a - b)).toEqual(Array.from({ length: 1000 }, (_, i) => i));
    expect(permutation(1000, 5, 'shuffle', 0)).toEqual(first);
    expect(permutation(1000, 5, 'shuffle', 1)).not.toEqual(first);
  });
});

describe('fillDropoutMask', () => {
  const purpose = purposeHash('dropout:drop1');
  const options = { ratio: 0.25, rowSize: 7, key: dropoutKey(11, 3), purpose };

  it('keeps the right share and scales it', () => {
    const mask = new Float32Array(7 * 4000);
    fillDropoutMask(mask, options);
    const kept = mask.filter((value) => value > 0);
    expect(new Set(kept)).toEqual(new Set([Math.fround(4 / 3)]));
    expect(kept.length / mask.length).toBeCloseTo(0.75, 1);
  });

  it('gives a row the same mask in whatever piece of the batch it stands', () => {
    const whole = new Float32Array(7 * 8);
    fillDropoutMask(whole, options);
    const half = new Float32Array(7 * 4);
    fillDropoutMask(half, { ...options, key: dropoutKey(11, 3, 1) });
    expect(half).toEqual(whole.slice(28));
    const next = new Float32Array(7 * 8);
    fillDropoutMask(next, { ...options, key: dropoutKey(11, 4) });
    expect(next).not.toEqual(whole);
  });

  it('follows the counter layout', () => {
    const mask = new Float32Array(14);
    fillDropoutMask(mask, { ...options, ratio: 0.5 });
    const words = [0, 1].flatMap((row) =>
      [0, 1].flatMap((block) => philox4x32([block, row, 3, purpose], [11, 0])),
    );
    const expected = [...words.slice(0, 7), ...words.slice(8, 15)].map((word) =>
      word >= 2 ** 31 ? 2 : 0,
    );
    expect([...mask]).toEqual(expected);
  });

  it('is all ones at ratio 0', () => {
    const mask = new Float32Array(9);
    fillDropoutMask(mask, { ...options, rowSize: 9, ratio: 0 });
    expect(mask.every((value) => value === 1)).toBe(true);
  });
});
