/**
 * Operators of two or more inputs that work element by element with broadcasting, one entry each: arithmetic,
 * comparisons, logic and bits. `binary-spec.ts` makes operators of it and `lowering.ts` kernels.
 */
import { isFloat } from '../../core/dtype';
import type { DType } from '../../core/dtype';
import type { Node, Tensor } from '../../onnx/graph';
import { intAttribute, stringAttribute } from '../attributes';
import type { Emit } from '../gradients';

export interface BinaryGradient {
  readonly e: Emit;
  readonly g: string;
  readonly a: string;
  readonly b: string;
  readonly y: string;
  readonly node: Node;
  constant(index: number): Tensor | undefined;
}

export interface BinaryOp {
  readonly compute: (a: number, b: number) => number;
  /** For integers, where it differs. */
  readonly computeInteger?: (a: number, b: number, dtype: DType) => number;
  /** Result is bool. */
  readonly predicate?: true;
  /** Takes one or more inputs instead of two, from left to right. */
  readonly variadic?: true;
  /** What becomes of the last result, given the number of inputs. */
  readonly finish?: (value: number, count: number) => number;
  /** Inputs may be of different types; the result has the first one's. */
  readonly mixed?: true;
  /** The second input is broadcast to the first, never the other way round. */
  readonly oneWay?: true;
  /** The element from `a` and `b`; absent where `expand` of the operator does it. */
  readonly wgsl?: string;
  readonly wgslInteger?: string;
  /** Gradients before broadcasting is undone, as thunks: only the wanted ones are built. */
  readonly gradient?: (names: BinaryGradient) => readonly [() => string | undefined, () => string];
}

export type BinaryEntry = BinaryOp | ((node: Node) => BinaryOp);

const predicate = (compute: (a: number, b: number) => boolean, wgsl: string): BinaryOp => ({
  compute: (a, b) => (compute(a, b) ? 1 : 0),
  predicate: true,
  wgsl: `select(0, 1, ${wgsl})`,
});

/** Bits of 64-bit integers take the long way through BigInt. */
function bitwise(
  narrow: (a: number, b: number) => number,
  wide: (a: bigint, b: bigint) => bigint,
  wgsl: string,
): BinaryOp {
  return {
    compute: narrow,
    computeInteger: (a, b, dtype) =>
      dtype === 'int64' || dtype === 'uint64' ? Number(wide(BigInt(a), BigInt(b))) : narrow(a, b),
    wgsl,
  };
}

/** The remainder with the divisor's sign, as in Python; an infinite divisor leaves what has its own sign. */
function floorMod(a: number, b: number): number {
  const rest = a % b;
  return rest !== 0 && rest < 0 !== b < 0 ? rest + b : rest;
}

/** fmod = 0: the remainder has the divisor's sign; 1: the dividend's, as in C. */
const modulo = (node: Node): BinaryOp => {
  const c = intAttribute(node, 'fmod', 0) !== 0;
  return {
    compute: c ? (a, b) => a % b : floorMod,
    ...(!c && { computeInteger: (a, b) => (b === 0 ? 0 : floorMod(a, b)) }),
    wgsl: c ? 'c_mod(a, b)' : 'floor_mod(a, b)',
    wgslInteger: `select(${c ? 'a % b' : '((a % b) + b) % b'}, 0, b == 0)`,
    gradient: ({ e, g, a, b, y }) => [
      () => g,
      // y = a − b·q with a whole q that does not move.
      () => e('Neg', e('Mul', g, e('Div', e('Sub', a, y), b))),
    ],
  };
};

const shift = (node: Node): BinaryOp =>
  stringAttribute(node, 'direction') === 'LEFT'
    ? { compute: (a, b) => a * 2 ** b, wgsl: 'a << u32(b)' }
    : { compute: (a, b) => Math.floor(a / 2 ** b), wgsl: 'i32(u32(a) >> u32(b))' };

const power: BinaryOp = {
  compute: (a, b) => Math.pow(a, b),
  mixed: true,
  wgsl: 'power(a, f32(b))',
  wgslInteger: 'i32(round(power(f32(a), f32(b))))',
  gradient: ({ e, g, a, b, y, constant }) => [
    () => {
      const slope = e('Mul', b, e('Pow', a, e('Sub', b, 1)));
      // x⁰ is 1 everywhere: without care its slope at 0 is 0 · ∞.
      const exponents = constant(1);
      const plain = exponents && Array.from(exponents.data, Number).every((value) => value !== 0);
      return e('Mul', g, plain ? slope : e('Where', e('Equal', b, 0), 0, slope));
    },
    // y·ln a, which is 0 where y is.
    () => e('Mul', g, e('Where', e('Equal', y, 0), 0, e('Mul', y, e('Log', a)))),
  ],
};

export const BINARY: Readonly<Record<string, BinaryEntry>> = {
  Add: {
    compute: (a, b) => a + b,
    wgsl: 'a + b',
    gradient: ({ g }) => [() => g, () => g],
  },
  Sub: {
    compute: (a, b) => a - b,
    wgsl: 'a - b',
    gradient: ({ e, g }) => [() => g, () => e('Neg', g)],
  },
  Mul: {
    compute: (a, b) => a * b,
    wgsl: 'a * b',
    gradient: ({ e, g, a, b }) => [() => e('Mul', g, b), () => e('Mul', g, a)],
  },
  Div: {
    compute: (a, b) => a / b,
    computeInteger: (a, b) => (b === 0 ? 0 : Math.trunc(a / b)),
    wgsl: 'a / b',
    wgslInteger: 'select(a / b, 0, b == 0)',
    gradient: ({ e, g, b, y }) => [
      () => e('Div', g, b),
      () => e('Neg', e('Div', e('Mul', g, y), b)),
    ],
  },
  Pow: power,
  Mod: modulo,
  PRelu: {
    compute: (a, b) => (a < 0 ? a * b : a),
    oneWay: true,
    wgsl: 'select(a, a * b, a < Element(0))',
    gradient: ({ e, g, a, b }) => [
      () => e('Where', e('Less', a, 0), e('Mul', g, b), g),
      () => e('Mul', g, e('Min', a, 0)),
    ],
  },
  // NaN on either side is the result.
  Min: {
    compute: (a, b) => (a <= b || Number.isNaN(a) ? a : b),
    variadic: true,
    wgsl: 'min(a, b)',
  },
  Max: {
    compute: (a, b) => (a >= b || Number.isNaN(a) ? a : b),
    variadic: true,
    wgsl: 'max(a, b)',
  },
  Sum: { compute: (a, b) => a + b, variadic: true },
  Mean: { compute: (a, b) => a + b, variadic: true, finish: (sum, count) => sum / count },
  Equal: predicate((a, b) => a === b, 'a == b'),
  Greater: predicate((a, b) => a > b, 'a > b'),
  GreaterOrEqual: predicate((a, b) => a >= b, 'a >= b'),
  Less: predicate((a, b) => a < b, 'a < b'),
  LessOrEqual: predicate((a, b) => a <= b, 'a <= b'),
  And: predicate((a, b) => a !== 0 && b !== 0, 'a != 0 && b != 0'),
  Or: predicate((a, b) => a !== 0 || b !== 0, 'a != 0 || b != 0'),
  Xor: predicate((a, b) => (a !== 0) !== (b !== 0), '(a != 0) != (b != 0)'),
  BitwiseAnd: bitwise(
    (a, b) => a & b,
    (a, b) => a & b,
    'a & b',
  ),
  BitwiseOr: bitwise(
    (a, b) => a | b,
    (a, b) => a | b,
    'a | b',
  ),
  BitwiseXor: bitwise(
    (a, b) => a ^ b,
    (a, b) => a ^ b,
    'a ^ b',
  ),
  BitShift: shift,
};

/** The function for elements of this type. */
export function functionOf(op: BinaryOp, dtype: DType): (a: number, b: number) => number {
  const { compute, computeInteger } = op;
  if (!computeInteger || isFloat(dtype)) return compute;
  return (a, b) => computeInteger(a, b, dtype);
}
