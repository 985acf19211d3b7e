/**
 * Elementwise operators on the graphics processor: one kernel each around the table's expression, with
 * broadcasting by strides that are literals. `a`, `b`, `c` are the inputs at the output's element.
 */
import { invariant } from '../../core/errors';
import { isFloat } from '../../core/dtype';
import type { DType } from '../../core/dtype';
import type { Node } from '../../onnx/graph';
import { intAttribute, stringAttribute } from '../attributes';
import { addressOf, broadcastStrides, f32, kernel } from '../lowering/kernel';
import { alias, deviceType, given, hasInput, inputType, outputType } from '../lowering/tfjs';
import type { Lowering, LoweringContext, LoweringTable, StaticType } from '../lowering/tfjs';
import { ACTIVATIONS } from './activations';
import { BINARY } from './binary';
import { resolveBinary } from './binary-spec';
import type { BinaryEntry } from './binary';
import { functionsIn } from './functions';
import { UNARY } from './unary';
import type { UnaryEntry } from './unary';
import { parametersOf, resolve } from './unary-spec';

interface Expression {
  readonly code: string;
  /** Constants of type f32 that the code names. */
  readonly constants?: Readonly<Record<string, number>>;
}

const LETTERS = ['a', 'b', 'c', 'd', 'e', 'f', 'g', 'h'];

/** Prepares one kernel whose element is `expression` of these broadcast inputs, named `a`, `b` … in order. */
function element(
  { backend, node }: LoweringContext,
  inputs: readonly StaticType[],
  output: StaticType,
  { code, constants = {} }: Expression,
) {
  const loads = inputs.map(({ dims }, slot) => {
    const strides = broadcastStrides(dims, output.dims);
    return `  let ${LETTERS[slot]} = x${slot}[${addressOf(output.dims, strides)}];`;
  });
  const lets = Object.entries(constants)
    .filter(([name]) => new RegExp(`\\b${name}\\b`).test(code))
    .map(([name, value]) => `  let ${name} = ${f32(value)};`);
  const type = deviceType(output.dtype) === 'float32' ? 'f32' : 'i32';
  const usesType = code.includes('Element(');
  return kernel(backend, {
    label: node.op,
    output,
    inputCount: inputs.length,
    body: `${[...loads, ...lets].join('\n')}\n  result[index] = ${code};`,
    helpers: `${usesType ? `alias Element = ${type};` : ''}${functionsIn(code)}`,
  });
}

/** Lowers to one kernel over all inputs that are given. */
function elementwise(expression: (context: LoweringContext) => Expression): Lowering {
  return (context) => {
    const used = context.node.inputs
      .map((_, index) => index)
      .filter((index) => hasInput(context, index));
    invariant(used.length <= LETTERS.length, `${context.node.op} has too many inputs.`);
    const run = element(
      context,
      used.map((index) => inputType(context, index)),
      outputType(context),
      expression(context),
    );
    return (inputs) => [run(used.map((index) => given(inputs[index])))];
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

/** Max and Min of any number of inputs: pairs from left to right, each a kernel. */
function variadic(entry: BinaryEntry): Lowering {
  return (context) => {
    const { node, backend } = context;
    const output = outputType(context);
    if (node.inputs.length === 1) return identity(context);
    const code = binaryCode(entry, context);
    const steps = node.inputs.slice(1).map((_, step) => {
      const left = step === 0 ? inputType(context, 0) : output;
      return element(context, [left, inputType(context, step + 1)], output, { code });
    });
    return (inputs) => {
      let result = given(inputs[0]);
      steps.forEach((run, step) => {
        const next = run([result, given(inputs[step + 1])]);
        if (step > 0) backend.disposeData(result.dataId);
        result = next;
      });
      return [result];
    };
  };
}

const identity: Lowering = (context) => (inputs) => {
  const x = given(inputs[0]);
  return [alias(context.backend, x, x.shape)];
};

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
    return simple(`select(0, 1, ${from === 'float32' ? 'a != 0.0' : 'a != 0'})`)(context);
  }
  const code =
    to === 'float32'
      ? shortened(context.node, target, from === 'float32' ? 'a' : 'f32(a)')
      : wrapped(target, from === 'float32' ? 'i32(a)' : 'a');
  return code === 'a' && from === to ? identity(context) : simple(code)(context);
};

const clip = elementwise((context) => {
  const names = ['b', 'c'];
  const low = hasInput(context, 1) ? names.shift() : undefined;
  const high = hasInput(context, 2) ? names.shift() : undefined;
  const lifted = low === undefined ? 'a' : `select(a, ${low}, a < ${low})`;
  if (high === undefined) return { code: lifted };
  // NaN is neither below nor above a bound, and passes.
  return { code: `select(${lifted}, ${high}, ${lifted} > ${high})` };
});

/** Mul, and DropoutTrain with its fed mask. */
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
