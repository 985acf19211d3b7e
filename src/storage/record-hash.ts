/**
 * Ids of records. Two things that structured cloning carries and JSON does not must not cost a finished
 * training its model: a key that is there and undefined, and a figure that is not finite (the AUC of a class
 * without rows). The first counts as absent, the second is hashed by its name.
 */
import { hashJson } from '../core/hash';

export function hashRecord(record: object): Promise<string> {
  return hashJson(sayable(record));
}

function sayable(value: unknown): unknown {
  if (typeof value === 'number') return encodeNumber(value);
  if (typeof value !== 'object' || value === null) return value;
  if (Array.isArray(value)) return value.map(sayable);
  return Object.fromEntries(
    Object.entries(value)
      .filter(([, member]) => member !== undefined)
      .map(([key, member]): [string, unknown] => [key, sayable(member)]),
  );
}

const NON_FINITE: ReadonlyMap<unknown, number> = new Map([
  ['NaN', NaN],
  ['Infinity', Infinity],
  ['-Infinity', -Infinity],
]);

/** Figures that JSON lacks, by name. */
export function encodeNumber(value: unknown): unknown {
  const lacking = typeof value === 'number' && !Number.isFinite(value);
  return lacking ? { $number: String(value) } : value;
}

export function decodeNumber(value: unknown): unknown {
  if (typeof value !== 'object' || value === null) return value;
  return NON_FINITE.get((value as { $number?: unknown }).$number) ?? value;
}
