import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  addDims,
  ceilDivDims,
  equalDims,
  evaluateDim,
  exactDivDims,
  floorDivDims,
  maxDim,
  minDim,
  modDims,
  mulDims,
  productDims,
  signOf,
  subDims,
} from '../../../src/onnx/dim';
import type { Dim } from '../../../src/onnx/graph';

describe('symbolic lengths', () => {
  it('have one text for one value', () => {
    expect(addDims('n', 1)).toBe('n + 1');
    expect(addDims(1, 'n')).toBe('n + 1');
    expect(subDims(addDims('n', 'm'), 'n')).toBe('m');
    expect(mulDims('b', mulDims(3, 'a'))).toBe('3*a*b');
    expect(mulDims(addDims('a', 1), 'b')).toBe('a*b + b');
    expect(subDims('n', 'n')).toBe(0);
    expect(floorDivDims(mulDims('n', 6), 3)).toBe('2*n');
    expect(floorDivDims(subDims('h', 1), 2)).toBe('((h + 1)//2) - 1');
    expect(modDims(mulDims(4, 'n'), 2)).toBe(0);
    expect(exactDivDims(productDims(['batch', 12, 'seq', 64]), productDims(['seq', 'batch']))).toBe(
      768,
    );
    expect(exactDivDims(mulDims(addDims('a', 1), addDims('b', 2)), addDims('b', 2))).toBe('a + 1');
  });

  it('divide by two twice as by four once: stacks of strided windows', () => {
    const half = (dim: Dim): Dim => addDims(floorDivDims(subDims(dim, 1), 2), 1);
    expect(half(half('h'))).toBe('((h + 3)//4)');
    expect(ceilDivDims(ceilDivDims('h', 2), 2)).toBe('((h + 3)//4)');
  });

  it('read the expressions that PyTorch writes', () => {
    expect(equalDims('s0*s1 + 2', addDims(2, mulDims('s1', 's0')))).toBe(true);
    expect(equalDims('(s0 - 1)//2 + 1', ceilDivDims('s0', 2))).toBe(true);
    expect(
      equalDims(
        'past_sequence_length + sequence_length',
        addDims('sequence_length', 'past_sequence_length'),
      ),
    ).toBe(true);
    expect(equalDims('Max(1, s0)', 's0')).toBe(true);
  });

  it('take any other name as it is', () => {
    for (const name of [
      '?1',
      'unk__12',
      '/layer1/conv/Conv_2',
      'my-dim',
      'a b',
      'f(x)',
      'x,y',
      '',
    ]) {
      expect(subDims(addDims(name, 1), 1)).toBe(name);
      expect(subDims(mulDims(name, 2), name)).toBe(name);
    }
  });

  it('know their sign where it is plain', () => {
    expect(signOf('n')).toBe(1);
    expect(signOf(addDims('n', 1))).toBe(1);
    expect(signOf(subDims('n', 1))).toBeUndefined();
    expect(signOf(subDims(0, 'n'))).toBe(-1);
    expect(minDim('n', addDims('n', 2))).toBe('n');
    expect(maxDim('n', 1)).toBe('n');
    expect(minDim('n', 4)).toBe('min(4, n)');
  });

  it('compute what numbers compute, whatever the expression', () => {
    const values = new Map([
      ['a', 5],
      ['b', 7],
      ['c/d', 3],
      ['x y', 11],
    ]);
    const leaf = fc.oneof(
      fc.constantFrom<Dim>('a', 'b', 'c/d', 'x y'),
      fc.integer({ min: -4, max: 9 }),
    );
    interface Pair {
      readonly dim: Dim;
      readonly value: number;
    }
    const { tree } = fc.letrec<{ tree: Pair }>((tie) => ({
      tree: fc.oneof(
        { depthSize: 'small', withCrossShrink: true },
        leaf.map((dim) => ({ dim, value: evaluateDim(dim, values) ?? NaN })),
        fc
          .tuple(
            fc.constantFrom('+', '-', '*', '/', 'min', 'max'),
            tie('tree'),
            tie('tree'),
            fc.integer({ min: 1, max: 6 }),
          )
          .map(([op, l, r, k]): Pair => {
            switch (op) {
              case '+':
                return { dim: addDims(l.dim, r.dim), value: l.value + r.value };
              case '-':
                return { dim: subDims(l.dim, r.dim), value: l.value - r.value };
              case '*':
                return { dim: mulDims(l.dim, r.dim), value: l.value * r.value };
              case '/':
                return { dim: floorDivDims(l.dim, k), value: Math.floor(l.value / k) };
              case 'min':
                return { dim: minDim(l.dim, r.dim), value: Math.min(l.value, r.value) };
              default:
                return { dim: maxDim(l.dim, r.dim), value: Math.max(l.value, r.value) };
            }
          }),
      ),
    }));
    fc.assert(
      fc.property(tree, ({ dim, value }) => {
        expect((evaluateDim(dim, values) ?? NaN) + 0).toBe(value + 0);
        // The text reads back as itself.
        if (typeof dim === 'string') expect(addDims(dim, 0)).toBe(dim);
      }),
      { numRuns: 1000, seed: 7 },
    );
  });
});
