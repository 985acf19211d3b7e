/**
 * Elementwise operators on the graphics processor: one WGSL expression each, with broadcasting by strides that
 * are literals. `a`, `b`, `c` are the inputs at the output's element.
 */
import { AppError } from '../../core/errors';
import { isFloat } from '../../core/dtype';
import { floatAttribute, stringAttribute } from '../attributes';
import { addressOf, broadcastStrides, kernel } from '../lowering/kernel';
import { alias, deviceType, given, hasInput, inputType, outputType } from '../lowering/tfjs';
import type { Lowering, LoweringContext, LoweringTable } from '../lowering/tfjs';

interface Expression {
  readonly code: string;
  readonly helpers?: string;
}

// Abramowitz and Stegun 7.1.26: |error| <= 1.5e-7, below float32's own rounding of the result.
const ERF = `
fn erf(x: f32) -> f32 {
  let t = 1.0 / (1.0 + 0.3275911 * abs(x));
  let tail = ((((1.061405429 * t - 1.453152027) * t + 1.421413741) * t - 0.284496736) * t
    + 0.254829592) * t * exp(-x * x);
  return sign(x) * (1.0 - tail);
}`;

// Some drivers give NaN for tanh of large numbers; from 15 on it is 1 in float32. NaN itself passes through.
const TANH = `
fn tanh_safe(x: f32) -> f32 {
  if (x > 15.0) { return 1.0; }
  if (x < -15.0) { return -1.0; }
  return tanh(x);
}`;

// WGSL leaves pow of a negative base undefined. A literal NaN is refused by its compiler, hence the sum.
const POWER = `
fn power(base: f32, exponent: f32) -> f32 {
  if (exponent == 0.0) { return 1.0; }
  if (exponent == 1.0) { return base; }
  if (exponent == 2.0) { return base * base; }
  if (base >= 0.0) { return pow(base, exponent); }
  if (exponent != floor(exponent)) { return bitcast<f32>(0x7fc00000u + u32(exponent == 0.0)); }
  let magnitude = pow(-base, exponent);
  return select(magnitude, -magnitude, abs(exponent) % 2.0 == 1.0);
}`;

/** Lowers to one kernel whose element is `expression` of the broadcast inputs. */
export function elementwise(expression: (context: LoweringContext) => Expression): Lowering {
  return (context) => {
    const output = outputType(context);
    const used = context.node.inputs
      .map((_, index) => index)
      .filter((index) => hasInput(context, index));
    const names = ['a', 'b', 'c', 'd', 'e', 'f', 'g', 'h'];
    const { code, helpers } = expression(context);
    const loads = used.map((index, slot) => {
      const strides = broadcastStrides(inputType(context, index).dims, output.dims);
      return `  let ${names[index]} = x${slot}[${addressOf(output.dims, strides)}];`;
    });
    const run = kernel(context.backend, {
      label: context.node.op,
      output,
      inputCount: used.length,
      body: `${loads.join('\n')}\n  result[index] = ${code};`,
      ...(helpers === undefined ? {} : { helpers }),
    });
    return (inputs) => [run(used.map((index) => given(inputs[index])))];
  };
}

const simple = (code: string, helpers?: string): Lowering =>
  elementwise(() => (helpers === undefined ? { code } : { code, helpers }));

const bool = (condition: string): Lowering => simple(`select(0, 1, ${condition})`);

/** Max and Min of any number of inputs. */
function variadic(name: 'max' | 'min'): Lowering {
  return elementwise(({ node }) => {
    const letters = ['a', 'b', 'c', 'd', 'e', 'f', 'g', 'h'].slice(0, node.inputs.length);
    if (letters.length < node.inputs.length) {
      throw new AppError('engine/unsupported', `${node.op} "${node.name}" has over 8 inputs.`);
    }
    return { code: letters.reduce((left, right) => `${name}(${left}, ${right})`) };
  });
}

export const identity: Lowering = (context) => (inputs) => {
  const x = given(inputs[0]);
  return [alias(context.backend, x, x.shape)];
};

const cast: Lowering = (context) => {
  const from = deviceType(inputType(context, 0).dtype);
  const to = deviceType(outputType(context).dtype);
  if (from === to) return identity(context);
  if (to === 'bool') return bool(from === 'float32' ? 'a != 0.0' : 'a != 0')(context);
  return simple(to === 'float32' ? 'f32(a)' : 'i32(a)')(context);
};

const gelu: Lowering = (context) =>
  stringAttribute(context.node, 'approximate', 'none') === 'tanh'
    ? simple(
        '0.5 * a * (1.0 + tanh_safe(0.7978845608 * (a + 0.044715 * a * a * a)))',
        TANH,
      )(context)
    : simple('0.5 * a * (1.0 + erf(a * 0.70710678118))', ERF)(context);

const clip = elementwise((context) => {
  const lower = hasInput(context, 1) ? 'max(a, b)' : 'a';
  return { code: hasInput(context, 2) ? `min(${lower}, c)` : lower };
});

const divide = elementwise((context) => ({
  code: isFloat(outputType(context).dtype) ? 'a / b' : 'select(a / b, 0, b == 0)',
}));

const power = elementwise((context) => ({
  code: isFloat(outputType(context).dtype)
    ? `power(a, f32(b))`
    : `i32(round(power(f32(a), f32(b))))`,
  helpers: POWER,
}));

/** Mul, and DropoutTrain with its fed mask. */
export const product = simple('a * b');

const leakyRelu = elementwise(({ node }) => ({
  code: `select(a, a * f32(${floatAttribute(node, 'alpha', 0.01)}), a < 0.0)`,
}));

export const ELEMENTWISE: LoweringTable = {
  Add: simple('a + b'),
  Sub: simple('a - b'),
  Mul: product,
  Div: divide,
  Pow: power,
  Max: variadic('max'),
  Min: variadic('min'),
  Neg: simple('-a'),
  Abs: simple('abs(a)'),
  Exp: simple('exp(a)'),
  Log: simple('log(a)'),
  Sqrt: simple('sqrt(a)'),
  Reciprocal: simple('1.0 / a'),
  Sign: simple('sign(a)'),
  Floor: simple('floor(a)'),
  Ceil: simple('ceil(a)'),
  Round: simple('round(a)'),
  Erf: simple('erf(a)', ERF),
  // Written so that NaN stays NaN and a broken step can be seen.
  Relu: simple('select(a, 0.0, a < 0.0)'),
  LeakyRelu: leakyRelu,
  Tanh: simple('tanh_safe(a)', TANH),
  Sigmoid: simple('1.0 / (1.0 + exp(-a))'),
  Softplus: simple('max(a, 0.0) + log(1.0 + exp(-abs(a)))'),
  Gelu: gelu,
  Clip: clip,
  Where: simple('select(c, b, a != 0)'),
  IsNaN: bool('(bitcast<u32>(a) & 0x7fffffffu) > 0x7f800000u'),
  Equal: bool('a == b'),
  Less: bool('a < b'),
  LessOrEqual: bool('a <= b'),
  Greater: bool('a > b'),
  GreaterOrEqual: bool('a >= b'),
  And: bool('a != 0 && b != 0'),
  Or: bool('a != 0 || b != 0'),
  Xor: bool('(a != 0) != (b != 0)'),
  Not: simple('1 - a'),
  Cast: cast,
  Identity: identity,
};
