/**
 * Elementwise operators on the graphics processor: the table's expression, with broadcasting by strides that are
 * literals. `a`, `b`, `c` are the inputs at the output's element.
 */
import { invariant } from '../../core/errors';
import { isFloat, sizeOf } from '../../core/dtype';
import type { DType } from '../../core/dtype';
import type { Node } from '../../onnx/graph';
import { intAttribute, stringAttribute } from '../attributes';
import { addressOf, broadcastStrides, f32 } from '../lowering/address';
import { deviceType, hasInput, input, inputType, outputType, wgslType } from '../lowering/context';
import type { Lowering, LoweringContext, LoweringTable } from '../lowering/plan';
import { ACTIVATIONS } from './activations';
import { BINARY } from './binary';
import { resolveBinary } from './binary-spec';
import type { BinaryEntry } from './binary';
import { SLOPES } from './slopes';
import { UNARY } from './unary';
import type { UnaryEntry } from './unary';
import { parametersOf, resolve } from './unary-spec';

interface Expression {
  readonly code: string;
  /** Constants of type f32 that the code names. */
  readonly constants?: Readonly<Record<string, number>>;
}

const LETTERS = ['a', 'b', 'c'];

/** WGSL: where a tensor that is broadcast to `target` has the element `index`. */
function placeIn(dims: readonly number[], target: readonly number[]): string {
  // As many elements are the same elements.
  return sizeOf(dims) === sizeOf(target)
    ? 'index'
    : addressOf(target, broadcastStrides(dims, target));
}

/** Lowers to one expression of all inputs that are given. */
function elementwise(expression: (context: LoweringContext) => Expression): Lowering {
  return (context) => {
    const { node, plan } = context;
    const output = outputType(context);
    const { code, constants = {} } = expression(context);
    const inputs = node.inputs.flatMap((_, at) =>
      hasInput(context, at) ? input(context, at) : [],
    );
    invariant(inputs.length <= LETTERS.length, `${node.op} has too many inputs.`);
    const reads = inputs.map(
      ({ dims }, slot) => `let ${LETTERS[slot]} = x${slot}(${placeIn(dims, output.dims)});`,
    );
    const lets = Object.entries(constants)
      .filter(([name]) => new RegExp(`\\b${name}\\b`).test(code))
      .map(([name, value]) => `let ${name} = ${f32(value)};`);
    const y = plan.pointwise({
      label: node.op,
      inputs,
      output,
      lets: [...reads, ...lets].join('\n'),
      value: code.replaceAll('Element(', `${wgslType(output.dtype)}(`),
    });
    return [y];
  };
}

const simple = (code: string): Lowering => elementwise(() => ({ code }));

/** Integers of 4, 8 and 16 bits are held in 32: results are cut as their type would. */
function wrapped(dtype: DType, code: string): string {
  switch (dtype) {
    case 'uint4':
      return `(${code}) & 0xf`;
    case 'int4':
      return `((${code}) << 28u) >> 28u`;
    case 'uint8':
      return `(${code}) & 0xff`;
    case 'uint16':
      return `(${code}) & 0xffff`;
    case 'int8':
      return `((${code}) << 24u) >> 24u`;
    case 'int16':
      return `((${code}) << 16u) >> 16u`;
    default:
      return code;
  }
}

function unary(entry: UnaryEntry): Lowering {
  return elementwise((context) => {
    const op = resolve(entry, context.node);
    return {
      code: wrapped(outputType(context).dtype, op.wgsl),
      constants: { ...parametersOf(op, context.node) },
    };
  });
}

function binaryCode(entry: BinaryEntry, context: LoweringContext): string {
  const op = resolveBinary(entry, context.node);
  const { dtype } = inputType(context, 0);
  const code = (isFloat(dtype) ? undefined : op.wgslInteger) ?? op.wgsl;
  invariant(code !== undefined, `${context.node.op} has no expression.`);
  return wrapped(outputType(context).dtype, code);
}

function binary(entry: BinaryEntry): Lowering {
  return elementwise((context) => ({ code: binaryCode(entry, context) }));
}

const identity: Lowering = (context) => [input(context, 0)];

/** Max and Min of any number of inputs, from left to right. */
function variadic(entry: BinaryEntry): Lowering {
  return (context) => {
    const { node, plan } = context;
    if (node.inputs.length === 1) return identity(context);
    const output = outputType(context);
    const inputs = node.inputs.map((_, at) => input(context, at));
    const code = binaryCode(entry, context);
    const read = (slot: number) => `x${slot}(${placeIn(inputs[slot]?.dims ?? [], output.dims)})`;
    const lines = inputs.slice(1).map((_, step) => {
      const next = code.replaceAll(/\b[ab]\b/g, (letter) => (letter === 'a' ? `m${step}` : 'b'));
      return `var m${step + 1} = m${step};
{ let b = ${read(step + 1)}; m${step + 1} = ${next}; }`;
    });
    const y = plan.pointwise({
      label: node.op,
      inputs,
      output,
      lets: [`let m0 = ${read(0)};`, ...lines].join('\n'),
      value: `m${lines.length}`,
    });
    return [y];
  };
}

/** Mantissa bits, exponent of the smallest normal number, largest number, and what overflows without saturation. */
const SHORT_FLOATS: Partial<Record<DType, readonly [number, number, number, 0 | 1 | 2]>> = {
  float16: [10, -14, 65504, 1],
  bfloat16: [7, -126, 3.3895313892515355e38, 1],
  float8e4m3fn: [3, -6, 448, 2],
  float8e4m3fnuz: [3, -7, 240, 2],
  float8e5m2: [2, -14, 57344, 1],
  float8e5m2fnuz: [2, -15, 57344, 2],
  float4e2m1: [1, 0, 6, 0],
};

/** Added to the bits of a float before its mantissa is cut off. */
const TO_POWER: Readonly<Record<string, string>> = {
  up: '0x7fffffu',
  down: '0u',
  nearest: '0x400000u',
};

/** WGSL of the float `code` as the type would hold it. */
function shortened(node: Node, dtype: DType, code: string): string {
  const saturate = intAttribute(node, 'saturate', 1) !== 0;
  if (dtype === 'float8e8m0') {
    return `power_of_two(${code}, ${TO_POWER[stringAttribute(node, 'round_mode', 'up')]})`;
  }
  const format = SHORT_FLOATS[dtype];
  if (!format) return code;
  const [mantissa, least, largest, overflow] = format;
  const clamps = saturate && dtype.startsWith('float8');
  return `rounded(${code}, ${mantissa}, ${least}, ${f32(largest)}, ${clamps ? 0 : overflow})`;
}

const cast: Lowering = (context) => {
  const source = inputType(context, 0).dtype;
  const target = outputType(context).dtype;
  const from = deviceType(source);
  const to = deviceType(target);
  if (to === 'bool') {
    if (from === 'bool') return identity(context);
    return castTo(context, `select(0, 1, ${from === 'float32' ? 'a != 0.0' : 'a != 0'})`);
  }
  const code =
    to === 'float32'
      ? shortened(context.node, target, from === 'float32' ? 'a' : 'f32(a)')
      : wrapped(target, from === 'float32' ? 'i32(a)' : 'a');
  return code === 'a' && from === to ? identity(context) : castTo(context, code);
};

/** CastLike's second input only says the type. */
function castTo(context: LoweringContext, code: string): ReturnType<Lowering> {
  const y = context.plan.pointwise({
    label: context.node.op,
    inputs: [input(context, 0)],
    output: outputType(context),
    lets: 'let a = x0(index);',
    value: code,
  });
  return [y];
}

const clip = elementwise((context) => {
  const names = ['b', 'c'];
  const low = hasInput(context, 1) ? names.shift() : undefined;
  const high = hasInput(context, 2) ? names.shift() : undefined;
  const lifted = low === undefined ? 'a' : `select(a, ${low}, a < ${low})`;
  if (high === undefined) return { code: lifted };
  // NaN is neither below nor above a bound, and passes.
  return { code: `select(${lifted}, ${high}, ${lifted} > ${high})` };
});

/** DropoutTrain with its fed mask. */
export const product = simple('a * b');

const fromTable = <Entry>(
  table: Readonly<Record<string, Entry>>,
  lower: (entry: Entry) => Lowering,
  skip: readonly string[] = [],
): LoweringTable =>
  Object.fromEntries(
    Object.entries(table).flatMap(([name, entry]) =>
      skip.includes(name) ? [] : [[name, lower(entry)]],
    ),
  );

const { Min, Max } = BINARY;

/** Gradients of activations. */
export const ACTIVATION_GRADIENTS: LoweringTable = fromTable(SLOPES, binary);

export const ELEMENTWISE: LoweringTable = {
  ...fromTable(UNARY, unary),
  ...fromTable(ACTIVATIONS, unary),
  // Sum and Mean are written as Add.
  ...fromTable(BINARY, binary, ['Sum', 'Mean']),
  ...(Min && Max && { Min: variadic(Min), Max: variadic(Max) }),
  Clip: clip,
  Where: simple('select(c, b, a != 0)'),
  Cast: cast,
  CastLike: cast,
  Identity: identity,
};
