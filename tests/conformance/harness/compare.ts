/**
 * Whether a result is the expected one, as ONNX's own runner decides it: |found - expected| <= atol + rtol·|expected|
 * for floating point, where NaN equals NaN; element type, shape, integers, booleans and text must agree exactly.
 */
import { isFloat } from '../../../src/core/dtype';
import type { Tensor } from '../../../src/onnx/graph';
import { shapeText } from '../../../src/ops/shapes';
import { valueOf } from '../../../src/ops/value';

const RTOL = 1e-3;
const ATOL = 1e-7;

/** undefined: they agree; otherwise what differs. */
export function difference(found: Tensor, expected: Tensor): string | undefined {
  if (found.dtype !== expected.dtype) return `is ${found.dtype}, not ${expected.dtype}`;
  if (shapeText(found.dims) !== shapeText(expected.dims)) {
    return `has the shape ${shapeText(found.dims)}, not ${shapeText(expected.dims)}`;
  }
  return isFloat(expected.dtype) || isSmallFloat(expected)
    ? differentNumbers(valueOf(found).data, valueOf(expected).data)
    : differentElements([...found.data], [...expected.data]);
}

function isSmallFloat({ dtype }: Tensor): boolean {
  return (dtype as string).startsWith('float') || (dtype as string) === 'bfloat16';
}

function differentNumbers(found: Float64Array, expected: Float64Array): string | undefined {
  let worst = 0;
  let at = -1;
  let count = 0;
  expected.forEach((want, index) => {
    const got = found[index] ?? NaN;
    if (got === want || (Number.isNaN(got) && Number.isNaN(want))) return;
    const off = Math.abs(got - want);
    if (Number.isFinite(want) && off <= ATOL + RTOL * Math.abs(want)) return;
    count++;
    if (at === -1 || off > worst) {
      worst = off;
      at = index;
    }
  });
  return at === -1 ? undefined : wrong(count, expected.length, at, found[at], expected[at]);
}

function differentElements(
  found: readonly (number | bigint | string)[],
  expected: readonly (number | bigint | string)[],
): string | undefined {
  const at = expected.findIndex((want, index) => found[index] !== want);
  if (at === -1) return undefined;
  const count = expected.filter((want, index) => found[index] !== want).length;
  return wrong(count, expected.length, at, found[at], expected[at]);
}

function wrong(count: number, of: number, at: number, found: unknown, expected: unknown): string {
  return `differs in ${count} of ${of} elements, such as ${String(found)} for ${String(expected)} at ${at}`;
}
