/** The catalogue, the pseudo-locale and the figures on screen. */
import { describe, expect, test } from 'vitest';
import { en } from '../../../src/ui/messages/en';
import * as format from '../../../src/ui/messages/format';
import { lengthen, pseudoLocale } from '../../../src/ui/messages/pseudo';

function strings(node: unknown, path = ''): [string, string][] {
  if (typeof node === 'string') return [[path, node]];
  if (node === null || typeof node !== 'object') return [];
  return Object.entries(node).flatMap(([key, value]) => strings(value, `${path}.${key}`));
}

describe('catalogue', () => {
  test('no exclamation marks, no emoji, no three dots', () => {
    const loud = strings(en).filter(([, text]) => /!|\.\.\.|\p{Extended_Pictographic}/u.test(text));
    expect(loud).toEqual([]);
  });

  test('the pseudo-locale lengthens every string by 40 % and leaves none out', () => {
    const plain = new Map(strings(en));
    const pseudo = strings(pseudoLocale(en));
    expect(pseudo).toHaveLength(plain.size);
    for (const [path, text] of pseudo) {
      const before = plain.get(path) ?? '';
      expect(text.length, path).toBeGreaterThanOrEqual(before.length * 1.4);
      expect(text.startsWith('['), path).toBe(true);
    }
  });

  test('what a function of the catalogue returns is lengthened too', () => {
    const pseudo = pseudoLocale({ rows: (n: number) => `${n} rows` });
    expect(pseudo.rows(3)).toBe(lengthen('3 rows'));
  });

  test('plurals', () => {
    expect(en.common.rows(1)).toBe('1 row');
    expect(en.common.rows(344)).toBe('344 rows');
  });
});

describe('figures', () => {
  test('sizes count in thousands, with three digits', () => {
    expect(format.bytes(0)).toBe('0 byte');
    expect(format.bytes(112_345)).toBe('112 kB');
    expect(format.bytes(27_000_000)).toBe('27 MB');
  });

  test('durations in at most two units', () => {
    expect(format.seconds(0.42)).toBe('0.4s');
    expect(format.seconds(41.4)).toBe('41s');
    expect(format.seconds(67)).toBe('1m 7s');
    expect(format.seconds(7500)).toBe('2h 5m');
  });

  test('decimals keep three digits, small and large', () => {
    expect(format.decimal(0.123456)).toBe('0.123');
    expect(format.decimal(4201.75)).toBe('4,202');
    expect(format.decimal(0.0000123)).toBe('1.23E-5');
    expect(format.decimal(Number.NaN)).toBe('–');
  });

  test('a percentage keeps one decimal place', () => {
    expect(format.percent(0.98123)).toBe('98.1%');
  });
});
