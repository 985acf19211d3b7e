/**
 * Reductions, one entry each: the fold over the elements, its kernel in WGSL, and the gradient. `spec.ts` makes
 * operators of it and `lowering.ts` kernels.
 */
import type { Emit } from '../gradients';

export interface ReductionGradient {
  readonly e: Emit;
  readonly x: string;
  /** Gradient of the output, with the reduced axes kept at length 1. */
  readonly g: string;
  /** The output, likewise. */
  readonly y: () => string;
  /** Number of elements behind each output. */
  readonly count: number;
  /** Sum over the reduced axes, kept at length 1. */
  readonly sum: (value: string) => string;
  /** The same for the product. */
  readonly product: (value: string) => string;
  /** 0 and 1 of x's type. */
  readonly number: (condition: string) => string;
}

export interface ReductionOp {
  readonly start: number;
  readonly fold: (total: number, x: number) => number;
  readonly finish?: (total: number, count: number) => number;
  /** Absent where `expand` of the operator does it. `x` is the element. */
  readonly wgsl?: {
    readonly combine: 'sum' | 'max' | 'min' | 'product';
    readonly element?: string;
    /** From `total` and the number `count`. */
    readonly finish?: string;
  };
  readonly gradient: (parts: ReductionGradient) => string;
}

/** Equal extremes share the gradient evenly: a reduction has no first element that counts more. */
const shared = ({ e, x, g, y, sum, number }: ReductionGradient): string => {
  const hit = number(e('Equal', x, y()));
  return e('Mul', hit, e('Div', g, sum(hit)));
};

/** Product of all other elements, right where some are 0: the product without zeros, if no other is one. */
const others = ({ e, x, g, sum, product, number }: ReductionGradient): string => {
  const isZero = e('Equal', x, 0);
  const zero = number(isZero);
  const safe = e('Where', isZero, 1, x);
  const alone = e('Equal', e('Sub', sum(zero), zero), 0);
  return e('Mul', g, e('Where', alone, e('Div', product(safe), safe), 0));
};

/** log(eᵃ + eᵇ) without overflow. */
function logAddExp(a: number, b: number): number {
  if (a === b) return a + Math.LN2;
  return Math.max(a, b) + Math.log1p(Math.exp(-Math.abs(a - b)));
}

export const REDUCTIONS: Readonly<Record<string, ReductionOp>> = {
  ReduceSum: {
    start: 0,
    fold: (sum, x) => sum + x,
    wgsl: { combine: 'sum' },
    gradient: ({ g }) => g,
  },
  ReduceMean: {
    start: 0,
    fold: (sum, x) => sum + x,
    finish: (sum, count) => sum / count,
    wgsl: { combine: 'sum', finish: 'total / count' },
    gradient: ({ e, g, count }) => (count === 1 ? g : e('Mul', g, 1 / count)),
  },
  ReduceMax: {
    start: -Infinity,
    fold: (max, x) => (x > max || Number.isNaN(x) ? x : max),
    wgsl: { combine: 'max' },
    gradient: shared,
  },
  ReduceMin: {
    start: Infinity,
    fold: (min, x) => (x < min || Number.isNaN(x) ? x : min),
    wgsl: { combine: 'min' },
    gradient: shared,
  },
  ReduceProd: {
    start: 1,
    fold: (product, x) => product * x,
    wgsl: { combine: 'product' },
    gradient: others,
  },
  ReduceL1: {
    start: 0,
    fold: (sum, x) => sum + Math.abs(x),
    wgsl: { combine: 'sum', element: 'abs(x)' },
    gradient: ({ e, x, g }) => e('Mul', g, e('Sign', x)),
  },
  ReduceL2: {
    start: 0,
    fold: (sum, x) => sum + x * x,
    finish: Math.sqrt,
    wgsl: { combine: 'sum', element: 'x * x', finish: 'sqrt(total)' },
    // At 0, where the norm has a kink, 0.
    gradient: ({ e, x, g, y }) => {
      const norm = y();
      return e('Mul', e('Div', g, e('Where', e('Equal', norm, 0), 1, norm)), x);
    },
  },
  ReduceLogSum: {
    start: 0,
    fold: (sum, x) => sum + x,
    finish: Math.log,
    wgsl: { combine: 'sum', finish: 'select(log(total), -infinity(), total == 0.0)' },
    gradient: ({ e, g, y }) => e('Mul', g, e('Exp', e('Neg', y()))),
  },
  ReduceLogSumExp: {
    start: -Infinity,
    fold: (total, x) => (x === -Infinity ? total : logAddExp(total, x)),
    gradient: ({ e, x, g, y }) => e('Mul', g, e('Exp', e('Sub', x, y()))),
  },
  ReduceSumSquare: {
    start: 0,
    fold: (sum, x) => sum + x * x,
    wgsl: { combine: 'sum', element: 'x * x' },
    gradient: ({ e, x, g }) => e('Mul', e('Mul', g, 2), x),
  },
};
