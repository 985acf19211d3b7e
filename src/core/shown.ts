/**
 * A value out of a file, as far as a message may repeat it. `String(value)` is no way: a deeply nested list overflows the
 * stack, and an object may bring a `toString` of its own that is no function.
 */
const LONGEST = 100;

export function shownValue(value: unknown): string {
  if (typeof value === 'string') {
    return value.length > LONGEST ? `${value.slice(0, LONGEST)}…` : value;
  }
  if (Array.isArray(value)) return `a list of ${value.length}`;
  if (typeof value === 'object' && value !== null) return 'an object';
  return value === undefined ? 'nothing' : String(value);
}
