/**
 * Operators of one input that work element by element, as one table. Integer and bool types pass through the
 * same functions; `dtype` names the result's type where it differs from the input's.
 */
import type { DType } from '../../core/dtype';
import { stringAttribute } from '../attributes';
import type { GradientContext, OpSpec } from '../define';
import { inputType } from '../shapes';
import { inputValue, makeValue } from '../value';
import { erf } from './erf';

/** Gradient of the input from `g` (gradient of y), `x` and `y`: value names in, value name out. */
type UnaryGradient = (context: GradientContext, g: string, x: string, y: string) => string;

interface UnaryOp {
  readonly apply: (x: number) => number;
  readonly dtype?: DType;
  readonly gradient?: UnaryGradient;
}

const SQRT_HALF = Math.SQRT1_2;
const GELU_TANH = Math.sqrt(2 / Math.PI);

export function sigmoid(x: number): number {
  return x >= 0 ? 1 / (1 + Math.exp(-x)) : Math.exp(x) / (1 + Math.exp(x));
}

function geluExact(x: number): number {
  return 0.5 * x * (1 + erf(x * SQRT_HALF));
}

/** Hendrycks & Gimpel 2016 (arXiv 1606.08415), the tanh form. */
function geluTanh(x: number): number {
  return 0.5 * x * (1 + Math.tanh(GELU_TANH * (x + 0.044715 * x * x * x)));
}

const UNARY: Readonly<Record<string, UnaryOp>> = {
  Identity: { apply: (x) => x, gradient: (_, g) => g },
  Neg: { apply: (x) => -x, gradient: ({ builder }, g) => builder.node('Neg', [g]) },
  Abs: {
    apply: Math.abs,
    gradient: ({ builder }, g, x) => builder.node('Mul', [g, builder.node('Sign', [x])]),
  },
  Exp: { apply: Math.exp, gradient: ({ builder }, g, _, y) => builder.node('Mul', [g, y]) },
  Log: { apply: Math.log, gradient: ({ builder }, g, x) => builder.node('Div', [g, x]) },
  Sqrt: {
    apply: Math.sqrt,
    gradient: ({ builder }, g, _, y) =>
      builder.node('Div', [builder.node('Mul', [g, builder.scalar(0.5)]), y]),
  },
  Reciprocal: {
    apply: (x) => 1 / x,
    gradient: ({ builder }, g, _, y) =>
      builder.node('Neg', [builder.node('Mul', [g, builder.node('Mul', [y, y])])]),
  },
  Sign: { apply: Math.sign },
  Erf: {
    apply: erf,
    gradient: ({ builder }, g, x) => {
      const bell = builder.node('Exp', [builder.node('Neg', [builder.node('Mul', [x, x])])]);
      const slope = builder.node('Mul', [bell, builder.scalar(2 / Math.sqrt(Math.PI))]);
      return builder.node('Mul', [g, slope]);
    },
  },
  // Math.max would lose NaN's sign of trouble in neither case; the comparison keeps NaN as NaN.
  Relu: {
    apply: (x) => (x < 0 ? 0 : x),
    gradient: ({ builder }, g, _, y) =>
      builder.node('Where', [
        builder.node('Greater', [y, builder.scalar(0)]),
        g,
        builder.scalar(0),
      ]),
  },
  Tanh: {
    apply: Math.tanh,
    gradient: ({ builder }, g, _, y) => {
      const slope = builder.node('Sub', [builder.scalar(1), builder.node('Mul', [y, y])]);
      return builder.node('Mul', [g, slope]);
    },
  },
  Sigmoid: {
    apply: sigmoid,
    gradient: ({ builder }, g, _, y) => {
      const slope = builder.node('Mul', [y, builder.node('Sub', [builder.scalar(1), y])]);
      return builder.node('Mul', [g, slope]);
    },
  },
  Softplus: {
    apply: (x) => Math.max(x, 0) + Math.log1p(Math.exp(-Math.abs(x))),
    gradient: ({ builder }, g, x) => builder.node('Mul', [g, builder.node('Sigmoid', [x])]),
  },
  IsNaN: { apply: (x) => (Number.isNaN(x) ? 1 : 0), dtype: 'bool' },
  Not: { apply: (x) => (x ? 0 : 1), dtype: 'bool' },
};

function unarySpec(name: string, op: UnaryOp): OpSpec {
  const rule = op.gradient;
  return {
    name,
    domain: '',
    inputs: [1, 1],
    infer: (context) => {
      const { dtype, dims } = inputType(context, 0);
      return [{ dtype: op.dtype ?? dtype, dims }];
    },
    reference: (node, inputs) => {
      const x = inputValue(node, inputs, 0);
      return [makeValue(op.dtype ?? x.dtype, x.dims, x.data.map(op.apply))];
    },
    ...(rule && {
      gradient: (context: GradientContext) => {
        const [g] = context.outputGradients;
        const [x] = context.node.inputs;
        const [y] = context.node.outputs;
        if (g === undefined || x === undefined || y === undefined) return [undefined];
        return [rule(context, g, x, y)];
      },
    }),
  };
}

/** d/dx gelu(x) = Φ(x) + x·φ(x); for the tanh form ½(1 + t) + ½·x·(1 − t²)·u′ with t = tanh u. */
function geluGradient(context: GradientContext): readonly (string | undefined)[] {
  const { builder, node } = context;
  const [g] = context.outputGradients;
  const x = node.inputs[0];
  if (g === undefined || x === undefined) return [undefined];
  const square = builder.node('Mul', [x, x]);
  if (stringAttribute(node, 'approximate', 'none') === 'none') {
    const cdf = builder.node('Mul', [
      builder.node('Add', [
        builder.node('Erf', [builder.node('Mul', [x, builder.scalar(SQRT_HALF)])]),
        builder.scalar(1),
      ]),
      builder.scalar(0.5),
    ]);
    const bell = builder.node('Exp', [builder.node('Mul', [square, builder.scalar(-0.5)])]);
    const density = builder.node('Mul', [bell, builder.scalar(1 / Math.sqrt(2 * Math.PI))]);
    const slope = builder.node('Add', [cdf, builder.node('Mul', [x, density])]);
    return [builder.node('Mul', [g, slope])];
  }
  const cubic = builder.node('Mul', [square, builder.scalar(GELU_TANH * 0.044715)]);
  const inner = builder.node('Mul', [x, builder.node('Add', [cubic, builder.scalar(GELU_TANH)])]);
  const t = builder.node('Tanh', [inner]);
  const left = builder.node('Add', [t, builder.scalar(1)]);
  const dInner = builder.node('Add', [
    builder.node('Mul', [cubic, builder.scalar(3)]),
    builder.scalar(GELU_TANH),
  ]);
  const dTanh = builder.node('Sub', [builder.scalar(1), builder.node('Mul', [t, t])]);
  const right = builder.node('Mul', [builder.node('Mul', [x, dTanh]), dInner]);
  const twice = builder.node('Add', [left, right]);
  return [builder.node('Mul', [g, builder.node('Mul', [twice, builder.scalar(0.5)])])];
}

const gelu: OpSpec = {
  ...unarySpec('Gelu', { apply: geluExact }),
  reference: (node, inputs) => {
    const x = inputValue(node, inputs, 0);
    const exact = stringAttribute(node, 'approximate', 'none') === 'none';
    return [makeValue(x.dtype, x.dims, x.data.map(exact ? geluExact : geluTanh))];
  },
  gradient: geluGradient,
};

export const unarySpecs: readonly OpSpec[] = [
  ...Object.entries(UNARY).map(([name, op]) => unarySpec(name, op)),
  gelu,
];
