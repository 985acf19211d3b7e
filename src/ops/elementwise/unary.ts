/**
 * Operators of one input that work element by element, one entry each: what it computes, as a function and as
 * WGSL, and its gradient. `unary-spec.ts` makes operators of it and `lowering.ts` kernels.
 */
import type { DType } from '../../core/dtype';
import type { Node } from '../../onnx/graph';
import { intAttribute } from '../attributes';
import type { Emit } from '../gradients';
import { erf } from './erf';
import { roundHalfEven } from './rounding';

/** Attributes of type float that any of them has; absent ones are 0. */
export interface Parameters {
  readonly alpha: number;
  readonly beta: number;
  readonly gamma: number;
  readonly lambd: number;
  readonly bias: number;
}

export interface UnaryOp {
  readonly compute: (x: number, parameters: Parameters) => number;
  /** The result's type where it is not the input's. */
  readonly dtype?: DType;
  /** Attributes with their defaults. */
  readonly parameters?: Partial<Parameters>;
  /** The element from `a`, and from the parameters by name; `Element` is the result's type. */
  readonly wgsl: string;
  /** Gradient of the input from `g` (gradient of y), `x` and `y`. 'flat': it is 0 wherever there is one. */
  readonly gradient?:
    'flat' | ((e: Emit, g: string, x: string, y: string, parameters: Parameters) => string);
  /** dy/dx of x, where the gradient is one operator, g · slope(x), instead of the nodes of `gradient`. */
  readonly slope?: Slope;
}

export interface Slope {
  readonly compute: (x: number, parameters: Parameters) => number;
  /** From `b`, which is x, and from the parameters by name. */
  readonly wgsl: string;
}

/** The operator of (dY, x) that is the gradient of an activation with a slope: slopes.ts. */
export const slopeName = (activation: string): string => `${activation}Grad`;

/** A function where an attribute chooses between formulas. */
export type UnaryEntry = UnaryOp | ((node: Node) => UnaryOp);
export type UnaryTable = Readonly<Record<string, UnaryEntry>>;

// Two bit tests instead of x != x, which WGSL lets a compiler assume away.
const NAN = '(bitcast<u32>(a) & 0x7fffffffu) > 0x7f800000u';

// WGSL leaves open what lies outside the domain: emulations give the logarithm of a tiny number for 0.
const LOG = 'select(select(log(a), -infinity(), a == 0.0), nan(), a < 0.0)';

const isInf = (node: Node): UnaryOp => {
  const up = intAttribute(node, 'detect_positive', 1) !== 0;
  const down = intAttribute(node, 'detect_negative', 1) !== 0;
  const tests = [
    ...(up ? ['bitcast<u32>(a) == 0x7f800000u'] : []),
    ...(down ? ['bitcast<u32>(a) == 0xff800000u'] : []),
  ];
  return {
    compute: (x) => ((up && x === Infinity) || (down && x === -Infinity) ? 1 : 0),
    dtype: 'bool',
    wgsl: tests.length === 0 ? '0' : `select(0, 1, ${tests.join(' || ')})`,
  };
};

export const UNARY: UnaryTable = {
  Neg: { compute: (x) => -x, wgsl: '-a', gradient: (e, g) => e('Neg', g) },
  Abs: { compute: Math.abs, wgsl: 'abs(a)', gradient: (e, g, x) => e('Mul', g, e('Sign', x)) },
  Sign: { compute: Math.sign, wgsl: 'sign(a)', gradient: 'flat' },
  Ceil: { compute: Math.ceil, wgsl: 'ceil(a)', gradient: 'flat' },
  Floor: { compute: Math.floor, wgsl: 'floor(a)', gradient: 'flat' },
  Round: { compute: roundHalfEven, wgsl: 'round(a)', gradient: 'flat' },
  Exp: { compute: Math.exp, wgsl: 'exp(a)', gradient: (e, g, _, y) => e('Mul', g, y) },
  Log: { compute: Math.log, wgsl: LOG, gradient: (e, g, x) => e('Div', g, x) },
  Sqrt: {
    compute: Math.sqrt,
    wgsl: 'sqrt(a)',
    gradient: (e, g, _, y) => e('Div', e('Mul', g, 0.5), y),
  },
  Reciprocal: {
    compute: (x) => 1 / x,
    wgsl: '1.0 / a',
    gradient: (e, g, _, y) => e('Neg', e('Mul', g, e('Mul', y, y))),
  },
  Erf: {
    compute: erf,
    wgsl: 'erf(a)',
    gradient: (e, g, x) => {
      const bell = e('Exp', e('Neg', e('Mul', x, x)));
      return e('Mul', g, e('Mul', bell, 2 / Math.sqrt(Math.PI)));
    },
  },
  Sin: { compute: Math.sin, wgsl: 'sin(a)', gradient: (e, g, x) => e('Mul', g, e('Cos', x)) },
  Cos: {
    compute: Math.cos,
    wgsl: 'cos(a)',
    gradient: (e, g, x) => e('Neg', e('Mul', g, e('Sin', x))),
  },
  Tan: {
    compute: Math.tan,
    wgsl: 'tan(a)',
    gradient: (e, g, _, y) => e('Mul', g, e('Add', e('Mul', y, y), 1)),
  },
  Asin: { compute: Math.asin, wgsl: 'asin(a)', gradient: (e, g, x) => e('Div', g, arc(e, x)) },
  Acos: {
    compute: Math.acos,
    wgsl: 'acos(a)',
    gradient: (e, g, x) => e('Neg', e('Div', g, arc(e, x))),
  },
  Atan: {
    compute: Math.atan,
    wgsl: 'atan(a)',
    gradient: (e, g, x) => e('Div', g, e('Add', e('Mul', x, x), 1)),
  },
  Sinh: { compute: Math.sinh, wgsl: 'sinh(a)', gradient: (e, g, x) => e('Mul', g, e('Cosh', x)) },
  Cosh: { compute: Math.cosh, wgsl: 'cosh(a)', gradient: (e, g, x) => e('Mul', g, e('Sinh', x)) },
  Tanh: {
    compute: Math.tanh,
    wgsl: 'tanh_safe(a)',
    gradient: (e, g, _, y) => e('Mul', g, e('Sub', 1, e('Mul', y, y))),
  },
  Asinh: {
    compute: Math.asinh,
    // By |a|: the textbook form loses all digits of large negative numbers.
    wgsl: 'sign(a) * log(abs(a) + sqrt(a * a + 1.0))',
    gradient: (e, g, x) => e('Div', g, e('Sqrt', e('Add', e('Mul', x, x), 1))),
  },
  Acosh: {
    compute: Math.acosh,
    wgsl: 'log(a + sqrt(a * a - 1.0))',
    gradient: (e, g, x) => e('Div', g, e('Sqrt', e('Sub', e('Mul', x, x), 1))),
  },
  Atanh: {
    compute: Math.atanh,
    wgsl: '0.5 * log((1.0 + a) / (1.0 - a))',
    gradient: (e, g, x) => e('Div', g, e('Sub', 1, e('Mul', x, x))),
  },
  IsNaN: {
    compute: (x) => (Number.isNaN(x) ? 1 : 0),
    dtype: 'bool',
    wgsl: `select(0, 1, ${NAN})`,
  },
  IsInf: isInf,
  Not: { compute: (x) => (x ? 0 : 1), dtype: 'bool', wgsl: '1 - a' },
  // −x − 1 is the complement of a two's-complement number; unsigned types wrap it.
  BitwiseNot: { compute: (x) => -x - 1, wgsl: '~a' },
};

/** √(1 − x²) */
function arc(e: Emit, x: string): string {
  return e('Sqrt', e('Sub', 1, e('Mul', x, x)));
}
