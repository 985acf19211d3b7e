/** Activation functions of one input, in the form of the unary table. Formulas are those of the ONNX standard. */
import type { Node } from '../../onnx/graph';
import { stringAttribute } from '../attributes';
import type { Emit } from '../gradients';
import { erf } from './erf';
import type { UnaryOp, UnaryTable } from './unary';

const GELU_TANH = Math.sqrt(2 / Math.PI);

export function sigmoid(x: number): number {
  return x >= 0 ? 1 / (1 + Math.exp(-x)) : Math.exp(x) / (1 + Math.exp(x));
}

function softplus(x: number): number {
  return Math.max(x, 0) + Math.log1p(Math.exp(-Math.abs(x)));
}

/** g where `condition` holds, else `other`. */
const positive = (e: Emit, x: string, g: string, other: string | number) =>
  e('Where', e('Greater', x, 0), g, other);

/** x·Φ(x). Hendrycks & Gimpel 2016 (arXiv 1606.08415); d/dx = Φ(x) + x·φ(x). */
const geluExact: UnaryOp = {
  compute: (x) => 0.5 * x * (1 + erf(x * Math.SQRT1_2)),
  wgsl: '0.5 * a * (1.0 + erf(a * 0.70710678118))',
  gradient: (e, g, x) => {
    const square = e('Mul', x, x);
    const cdf = e('Mul', e('Add', e('Erf', e('Mul', x, Math.SQRT1_2)), 1), 0.5);
    const density = e('Mul', e('Exp', e('Mul', square, -0.5)), 1 / Math.sqrt(2 * Math.PI));
    return e('Mul', g, e('Add', cdf, e('Mul', x, density)));
  },
  slope: {
    compute: (x) =>
      0.5 * (1 + erf(x * Math.SQRT1_2)) + (x * Math.exp(-0.5 * x * x)) / Math.sqrt(2 * Math.PI),
    wgsl: '0.5 * (1.0 + erf(b * 0.70710678118)) + 0.39894228040 * b * exp(-0.5 * b * b)',
  },
};

/** Its approximation ½·x·(1 + t), t = tanh u, u = √(2/π)·(x + 0.044715·x³); d/dx = ½(1 + t) + ½·x·(1 − t²)·u′. */
const geluTanh: UnaryOp = {
  compute: (x) => 0.5 * x * (1 + Math.tanh(GELU_TANH * (x + 0.044715 * x * x * x))),
  wgsl: '0.5 * a * (1.0 + tanh_safe(0.7978845608 * (a + 0.044715 * a * a * a)))',
  gradient: (e, g, x) => {
    const cubic = e('Mul', e('Mul', x, x), GELU_TANH * 0.044715);
    const t = e('Tanh', e('Mul', x, e('Add', cubic, GELU_TANH)));
    const left = e('Add', t, 1);
    const dInner = e('Add', e('Mul', cubic, 3), GELU_TANH);
    const dTanh = e('Sub', 1, e('Mul', t, t));
    const twice = e('Add', left, e('Mul', e('Mul', x, dTanh), dInner));
    return e('Mul', g, e('Mul', twice, 0.5));
  },
  slope: {
    compute: (x) => {
      const t = Math.tanh(GELU_TANH * (x + 0.044715 * x * x * x));
      const dInner = GELU_TANH * (1 + 3 * 0.044715 * x * x);
      return 0.5 * (1 + t) + 0.5 * x * (1 - t * t) * dInner;
    },
    // With s = ½(1 + t) it is s·(1 + 2·x·u′·(1 − s)).
    wgsl: tanhSlope('(0.5 + 0.5 * tanh_safe(b * (0.7978845608 + 0.0356774081 * b * b)))'),
  },
};

function tanhSlope(s: string): string {
  return `${s} * (1.0 + 2.0 * b * (0.7978845608 + 0.1070322243 * b * b) * (1.0 - ${s}))`;
}

const MISH_TANH = 'tanh_safe(max(b, 0.0) + log1p(exp(-abs(b))))';

export const ACTIVATIONS: UnaryTable = {
  // Comparisons instead of max, so that NaN stays NaN and a broken step can be seen.
  Relu: {
    compute: (x) => (x < 0 ? 0 : x),
    wgsl: 'select(a, Element(0), a < Element(0))',
    gradient: (e, g, _, y) => positive(e, y, g, 0),
  },
  LeakyRelu: {
    compute: (x, { alpha }) => (x < 0 ? alpha * x : x),
    parameters: { alpha: 0.01 },
    wgsl: 'select(a, a * alpha, a < 0.0)',
    // y tells the sign of x, so that x need not be kept.
    gradient: (e, g, x, y, { alpha }) => positive(e, alpha > 0 ? y : x, g, e('Mul', g, alpha)),
  },
  ThresholdedRelu: {
    compute: (x, { alpha }) => (x > alpha ? x : 0),
    parameters: { alpha: 1 },
    wgsl: 'select(0.0, a, a > alpha)',
    gradient: (e, g, x, y, { alpha }) => e('Where', e('Greater', alpha >= 0 ? y : x, alpha), g, 0),
  },
  // Clevert, Unterthiner & Hochreiter 2016 (arXiv 1511.07289)
  Elu: {
    compute: (x, { alpha }) => (x < 0 ? alpha * Math.expm1(x) : x),
    parameters: { alpha: 1 },
    wgsl: 'select(a, alpha * expm1(min(a, 0.0)), a < 0.0)',
    gradient: (e, g, x, y, { alpha }) =>
      positive(e, alpha > 0 ? y : x, g, e('Mul', g, e('Add', y, alpha))),
  },
  // Barron 2017 (arXiv 1704.07483)
  Celu: {
    compute: (x, { alpha }) => (x < 0 ? alpha * Math.expm1(x / alpha) : x),
    parameters: { alpha: 1 },
    wgsl: 'select(a, alpha * expm1(min(a / alpha, 0.0)), a < 0.0)',
    gradient: (e, g, x, _, { alpha }) =>
      positive(e, x, g, e('Mul', g, e('Exp', e('Mul', e('Min', x, 0), 1 / alpha)))),
  },
  // Klambauer et al. 2017 (arXiv 1706.02515)
  Selu: {
    compute: (x, { alpha, gamma }) => gamma * (x <= 0 ? alpha * Math.expm1(x) : x),
    parameters: { alpha: 1.67326319217681884765625, gamma: 1.05070102214813232421875 },
    wgsl: 'gamma * select(a, alpha * expm1(min(a, 0.0)), a <= 0.0)',
    gradient: (e, g, x, y, { alpha, gamma }) =>
      positive(
        e,
        alpha > 0 && gamma > 0 ? y : x,
        e('Mul', g, gamma),
        e('Mul', g, e('Add', y, alpha * gamma)),
      ),
  },
  Sigmoid: {
    compute: sigmoid,
    wgsl: '1.0 / (1.0 + exp(-a))',
    gradient: (e, g, _, y) => e('Mul', g, e('Mul', y, e('Sub', 1, y))),
  },
  HardSigmoid: {
    compute: (x, { alpha, beta }) => Math.max(0, Math.min(1, alpha * x + beta)),
    parameters: { alpha: 0.2, beta: 0.5 },
    wgsl: 'clamp(alpha * a + beta, 0.0, 1.0)',
    gradient: (e, g, _, y, { alpha }) => between(e, y, e('Mul', g, alpha)),
  },
  // Howard et al. 2019 (arXiv 1905.02244): x·max(0, min(1, x/6 + ½)); d/dx = h + x/6 inside.
  HardSwish: {
    compute: (x) => x * Math.max(0, Math.min(1, x / 6 + 0.5)),
    wgsl: 'a * clamp(a / 6.0 + 0.5, 0.0, 1.0)',
    gradient: (e, g, x) => {
      const gate = e('Add', e('Mul', x, 1 / 6), 0.5);
      const clipped = e('Clip', gate, 0, 1);
      const inside = between(e, clipped, e('Mul', x, 1 / 6));
      return e('Mul', g, e('Add', clipped, inside));
    },
    slope: {
      compute: (x) => Math.max(0, Math.min(1, x / 6 + 0.5)) + (Math.abs(x) < 3 ? x / 6 : 0),
      wgsl: 'clamp(b / 6.0 + 0.5, 0.0, 1.0) + select(0.0, b / 6.0, abs(b) < 3.0)',
    },
  },
  Softplus: {
    compute: softplus,
    wgsl: 'max(a, 0.0) + log1p(exp(-abs(a)))',
    gradient: (e, g, x) => e('Mul', g, e('Sigmoid', x)),
  },
  Softsign: {
    compute: (x) => x / (1 + Math.abs(x)),
    wgsl: 'a / (1.0 + abs(a))',
    gradient: (e, g, x) => {
      const below = e('Add', e('Abs', x), 1);
      return e('Div', g, e('Mul', below, below));
    },
  },
  Shrink: {
    compute: (x, { lambd, bias }) => (x < -lambd ? x + bias : x > lambd ? x - bias : 0),
    parameters: { lambd: 0.5, bias: 0 },
    wgsl:
      'select(select(Element(0), a - Element(bias), f32(a) > lambd), ' +
      'a + Element(bias), f32(a) < -lambd)',
    gradient: (e, g, x, _, { lambd }) => e('Where', e('Greater', e('Abs', x), lambd), g, 0),
  },
  Gelu: (node: Node) =>
    stringAttribute(node, 'approximate', 'none') === 'tanh' ? geluTanh : geluExact,
  // Misra 2019 (arXiv 1908.08681): x·t, t = tanh(softplus(x)); d/dx = t + x·(1 − t²)·σ(x)
  Mish: {
    compute: (x) => x * Math.tanh(softplus(x)),
    wgsl: 'a * tanh_safe(max(a, 0.0) + log1p(exp(-abs(a))))',
    gradient: (e, g, x) => {
      const t = e('Tanh', e('Softplus', x));
      const slope = e('Mul', e('Sub', 1, e('Mul', t, t)), e('Sigmoid', x));
      return e('Mul', g, e('Add', t, e('Mul', x, slope)));
    },
    slope: {
      compute: (x) => {
        const t = Math.tanh(softplus(x));
        return t + x * (1 - t * t) * sigmoid(x);
      },
      wgsl: `${MISH_TANH} + b * (1.0 - ${MISH_TANH} * ${MISH_TANH}) / (1.0 + exp(-b))`,
    },
  },
  // Ramachandran, Zoph & Le 2017 (arXiv 1710.05941): x·σ(αx); d/dx = σ + α·x·σ·(1 − σ)
  Swish: {
    compute: (x, { alpha }) => x * sigmoid(alpha * x),
    parameters: { alpha: 1 },
    wgsl: 'a / (1.0 + exp(-alpha * a))',
    gradient: (e, g, x, _, { alpha }) => {
      const inner = e('Mul', x, alpha);
      const gate = e('Sigmoid', inner);
      const rest = e('Mul', inner, e('Sub', 1, gate));
      return e('Mul', g, e('Mul', gate, e('Add', rest, 1)));
    },
    slope: {
      compute: (x, { alpha }) => {
        const gate = sigmoid(alpha * x);
        return gate * (1 + alpha * x * (1 - gate));
      },
      wgsl: '(1.0 + alpha * b / (1.0 + exp(alpha * b))) / (1.0 + exp(-alpha * b))',
    },
  },
};

/** `g` where 0 < y < 1, else 0. */
function between(e: Emit, y: string, g: string): string {
  return e('Where', e('And', e('Greater', y, 0), e('Less', y, 1)), g, 0);
}
