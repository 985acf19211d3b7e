import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { splitRows } from '../../../src/data/split';
import { SPLIT } from '../../support/run-config';
import type { Parts } from '../../../src/data/split';

const PARTS = ['train', 'validation', 'test'] as const;

function classified(values: readonly number[]): Parameters<typeof splitRows>[0] {
  const classes = Array.from({ length: Math.max(0, ...values.filter((v) => v >= 0)) + 1 }, (_, i) =>
    String(i),
  );
  return { task: 'classification', classes, values: Float64Array.from(values) };
}

function all(parts: Parts): number[] {
  return PARTS.flatMap((part) => [...parts[part]]);
}

describe('stratified split', () => {
  it('gives every class its share and the parts theirs', () => {
    const values = Array.from({ length: 10_000 }, (_, row) =>
      row < 1001 ? 0 : row < 2128 ? 1 : 2,
    );
    const parts = splitRows(classified(values), SPLIT);
    expect(PARTS.map((part) => parts[part].length)).toEqual([7000, 1500, 1500]);
    for (const [label, size] of [1001, 1127, 7872].entries()) {
      const inTest = parts.test.filter((row) => values[row] === label).length;
      expect(Math.abs(inTest - size * 0.15)).toBeLessThan(1);
    }
  });

  it('covers every row with a target once, puts classes of three rows in all parts, in row order', () => {
    const value = fc.oneof(fc.integer({ min: 0, max: 4 }), fc.constant(Number.NaN));
    fc.assert(
      fc.property(fc.array(value, { minLength: 30, maxLength: 120 }), fc.nat(), (values, seed) => {
        const target = classified(values);
        const parts = splitRows(target, { ...SPLIT, seed });
        const usable = values.flatMap((v, row) => (Number.isNaN(v) ? [] : [row]));
        expect(all(parts).sort((a, b) => a - b)).toEqual(usable);
        for (const part of PARTS)
          expect([...parts[part]].sort((a, b) => a - b)).toEqual([...parts[part]]);
        target.classes.forEach((_, label) => {
          const size = values.filter((v) => v === label).length;
          const counts = PARTS.map(
            (part) => parts[part].filter((row) => values[row] === label).length,
          );
          if (size >= 3) expect(Math.min(...counts)).toBeGreaterThan(0);
          else expect(counts).toEqual([size, 0, 0]);
        });
      }),
    );
  });

  it('repeats with the seed and differs with another', () => {
    const target = classified(Array.from({ length: 200 }, (_, row) => row % 3));
    expect(splitRows(target, SPLIT)).toEqual(splitRows(target, SPLIT));
    expect(splitRows(target, { ...SPLIT, seed: 2 }).test).not.toEqual(
      splitRows(target, SPLIT).test,
    );
  });

  it('spreads a number over the parts by quantiles', () => {
    const values = Float64Array.from({ length: 1000 }, (_, row) => Math.exp(row / 100));
    const parts = splitRows({ task: 'regression', classes: [], values }, SPLIT);
    expect(parts.test.length).toBe(150);
    for (let tenth = 0; tenth < 10; tenth++) {
      const inside = parts.test.filter((row) => Math.floor(row / 100) === tenth).length;
      expect(inside).toBe(15);
    }
  });

  it('refuses shares that do not add up, and too few rows', () => {
    const target = classified([0, 0, 1, 1]);
    const code = (run: () => unknown): unknown => {
      try {
        run();
        return null;
      } catch (error) {
        return (error as { code?: string }).code;
      }
    };
    expect(code(() => splitRows(target, { ...SPLIT, test: 0.4 }))).toBe('data/split');
    expect(code(() => splitRows(target, { ...SPLIT, test: 0, train: 0.85 }))).toBe('data/split');
    expect(code(() => splitRows(target, SPLIT))).toBe('data/too-few-rows');
  });
});
