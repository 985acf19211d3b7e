import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { hashJson } from '../../../src/core/hash';
import { decodeNumber, encodeNumber, hashRecord } from '../../../src/storage/record-hash';

describe('ids of records', () => {
  test('are the canonical hash of what JSON can say', async () => {
    const record = { b: [1, 'x', null, { c: true }], a: -0.5 };
    expect(await hashRecord(record)).toBe(await hashJson({ a: -0.5, b: record.b }));
  });

  test('a key that is undefined counts as absent', async () => {
    expect(await hashRecord({ a: 1, b: undefined })).toBe(await hashRecord({ a: 1 }));
  });

  test('figures that are not finite differ from each other and from null', async () => {
    const hashes = await Promise.all(
      [NaN, Infinity, -Infinity, null, 0].map((a) => hashRecord({ a })),
    );
    expect(new Set(hashes).size).toBe(5);
  });

  test('an ordinary name that is called __proto__ counts', async () => {
    const record = JSON.parse('{"__proto__": true}') as object;
    expect(await hashRecord(record)).not.toBe(await hashRecord({}));
  });
});

test('every number survives the way through JSON', () => {
  fc.assert(
    fc.property(fc.double(), (value) => {
      const json = JSON.stringify({ value }, (_, member: unknown) => encodeNumber(member));
      const read = JSON.parse(json, (_, member: unknown) => decodeNumber(member)) as object;
      // JSON has no negative zero.
      expect(read).toEqual({ value: value === 0 ? 0 : value });
    }),
  );
});
