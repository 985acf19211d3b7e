/** Operators from the tables of functions of one input. Integer and bool types pass through the same functions. */
import { isFloat } from '../../core/dtype';
import type { DType } from '../../core/dtype';
import { throughType } from '../../core/number-format';
import type { Node } from '../../onnx/graph';
import { floatAttribute } from '../attributes';
import type { Expansion, GradientContext, OpSpec } from '../define';
import { emitter, trainingNode } from '../gradients';
import { makeNode } from '../nodes';
import { inputType } from '../shapes';
import { inputValue, makeValue } from '../value';
import { ACTIVATIONS } from './activations';
import { slopeName, UNARY } from './unary';
import type { Parameters, UnaryEntry, UnaryOp } from './unary';

const NONE: Parameters = { alpha: 0, beta: 0, gamma: 0, lambd: 0, bias: 0 };

export function resolve(entry: UnaryEntry, node: Node): UnaryOp {
  return typeof entry === 'function' ? entry(node) : entry;
}

export function parametersOf(op: UnaryOp, node: Node): Parameters {
  const given = Object.entries(op.parameters ?? {}).map(
    ([name, fallback]) => [name, floatAttribute(node, name, fallback)] as const,
  );
  return { ...NONE, ...Object.fromEntries(given) };
}

/** Integer results as their type holds them; float results keep the interpreter's full precision. */
export function settled(dtype: DType, data: Float64Array): Float64Array {
  if (isFloat(dtype) || dtype === 'bool' || dtype === 'string' || dtype === 'int64') return data;
  return throughType(dtype, data);
}

function gradient(entry: UnaryEntry, context: GradientContext): (string | undefined)[] {
  const { builder, node } = context;
  const [g] = context.outputGradients;
  const [x] = node.inputs;
  const [y] = node.outputs;
  const op = resolve(entry, node);
  const rule = op.gradient;
  if (typeof rule !== 'function' || g === undefined || x === undefined || y === undefined) {
    return [undefined];
  }
  if (op.slope) {
    const attributes = Object.fromEntries(node.attributes);
    return trainingNode(builder, slopeName(node.op), [g, x], [`${y}/dx`], attributes).slice();
  }
  return [rule(emitter(builder, context.type(x).dtype), g, x, y, parametersOf(op, node))];
}

function unarySpec(name: string, entry: UnaryEntry): OpSpec {
  const differentiable = resolve(entry, makeNode(name, [])).gradient;
  return {
    name,
    domain: '',
    inputs: [1, 1],
    infer: (context) => {
      const { dtype, dims } = inputType(context, 0);
      return [{ dtype: resolve(entry, context.node).dtype ?? dtype, dims }];
    },
    reference: (node, inputs) => {
      const x = inputValue(node, inputs, 0);
      const op = resolve(entry, node);
      const parameters = parametersOf(op, node);
      const dtype = op.dtype ?? x.dtype;
      // Steps are taken where float32 takes them, not where the interpreter's extra digits would.
      const coarse = op.gradient === 'flat' && x.dtype === 'float32';
      const given = coarse ? x.data.map(Math.fround) : x.data;
      const data = given.map((value) => op.compute(value, parameters));
      return [makeValue(dtype, x.dims, settled(dtype, data))];
    },
    ...(differentiable && { gradient: (context: GradientContext) => gradient(entry, context) }),
  };
}

/** Any type passes, text too. */
const identitySpec: OpSpec = {
  name: 'Identity',
  domain: '',
  inputs: [1, 1],
  infer: (context) => [inputType(context, 0)],
  reference: (node, inputs) => [inputValue(node, inputs, 0)],
  gradient: ({ outputGradients }) => [outputGradients[0]],
};

/** x · σ(αx) for runtimes that do not know it: it came with opset 24. */
const expandSwish: Expansion = ({ node, builder, type }) => {
  const [x = ''] = node.inputs;
  const e = emitter(builder, type(x).dtype);
  return [e('Mul', x, e('Sigmoid', e('Mul', x, floatAttribute(node, 'alpha', 1))))];
};

export const unarySpecs: readonly OpSpec[] = [
  identitySpec,
  ...Object.entries({ ...UNARY, ...ACTIVATIONS }).map(([name, entry]) => ({
    ...unarySpec(name, entry),
    ...(name === 'Swish' && { expand: expandSwish }),
  })),
];
