/** Elementwise operators from the tables in src/ops/elementwise, and the few that stand beside them. */
import { floatAttribute } from '../../../../ops/attributes';
import { ACTIVATIONS } from '../../../../ops/elementwise/activations';
import { BINARY } from '../../../../ops/elementwise/binary';
import type { BinaryEntry } from '../../../../ops/elementwise/binary';
import { resolveBinary } from '../../../../ops/elementwise/binary-spec';
import { SLOPES } from '../../../../ops/elementwise/slopes';
import { UNARY } from '../../../../ops/elementwise/unary';
import type { UnaryEntry } from '../../../../ops/elementwise/unary';
import { parametersOf, resolve } from '../../../../ops/elementwise/unary-spec';
import { raise, Unsupported } from '../call';
import type { Call, Lowering, LoweringTable } from '../call';
import { f32x4, Local, v128 } from '../code';
import { expression, literal, toKind } from '../expression';
import type { Typed } from '../expression';
import { FunctionWriter } from '../module';
import * as math from '../math';
import type { Formula } from '../plan';
import type { Kind, View } from '../view';

const LETTERS = ['a', 'b', 'c', 'd', 'e', 'f', 'g', 'h'];

/** The operator over those inputs that are given; single constant numbers become part of the code. */
function elementwise(call: Call, inputs: readonly number[], formula: Formula): void {
  const views: View[] = [];
  const places = inputs.map((index): Typed | number => {
    const number = call.scalar(index);
    if (number === undefined || call.dims(index).length > call.outputDims().length) {
      return views.push(call.input(index)) - 1;
    }
    return literal(number, kindAt(call, index));
  });
  const whole: Formula = (writer, values) =>
    formula(
      writer,
      places.map((place) => (typeof place === 'number' ? (values[place] ?? raise()) : place)),
    );
  // Tried once, so that a missing function shows before anything is planned.
  const trial = new FunctionWriter([]);
  whole(
    trial,
    views.map((view): Typed => ({ kind: view.kind, code: new Local(0).get })),
  );
  call.pointwise(views, call.output(), whole);
}

function kindAt(call: Call, index: number): Kind {
  return call.input(index).kind;
}

/** A line of a table. */
function fromText(
  text: string,
  element: Kind,
  parameters: Readonly<Record<string, number>> = {},
): Formula {
  const fixed = Object.entries(parameters).map(([name, value]): [string, Typed] => [
    name,
    literal(value, 'float'),
  ]);
  return (writer, values) => {
    const names = new Map<string, Typed>(fixed);
    values.forEach((value, index) => names.set(LETTERS[index] ?? '', value));
    const made = expression(writer, text, names, element);
    if (made === undefined) throw new Unsupported(text);
    return made;
  };
}

const unary =
  (entry: UnaryEntry): Lowering =>
  (call) => {
    const op = resolve(entry, call.node);
    const kind = call.outputKind();
    const parameters = parametersOf(op, call.node);
    elementwise(call, [0], fromText(op.wgsl, kind, { ...parameters }));
  };

const binary =
  (entry: BinaryEntry): Lowering =>
  (call) => {
    const op = resolveBinary(entry, call.node);
    const first = kindAt(call, 0);
    const text = first === 'int' ? (op.wgslInteger ?? op.wgsl) : op.wgsl;
    if (text === undefined) throw new Unsupported(call.node.op);
    const { inputs } = call.node;
    if (op.variadic && inputs.length !== 2) return variadic(call, fromText(text, first));
    elementwise(call, [0, 1], fromText(text, call.outputKind()));
  };

/** From left to right, as one formula. */
function variadic(call: Call, formula: Formula): void {
  const { inputs } = call.node;
  elementwise(
    call,
    inputs.map((_, index) => index),
    (writer, values) =>
      values.reduce((left, right) => {
        const kept = writer.vector();
        const result = formula(writer, [left, right]);
        return { kind: result.kind, code: [...kept.set(result.code), ...kept.get] };
      }),
  );
}

/** Powers that need no logarithm; others are left to the runtime. */
const power: Lowering = (call) => {
  const exponent = call.scalar(1);
  const formulas: Readonly<Record<string, string>> = {
    0: 'a * 0.0 + 1.0',
    1: 'a',
    2: 'a * a',
    3: 'a * a * a',
    4: '(a * a) * (a * a)',
    0.5: 'sqrt(a)',
    [-0.5]: '1.0 / sqrt(a)',
    [-1]: '1.0 / a',
    [-2]: '1.0 / (a * a)',
  };
  const text = exponent === undefined ? undefined : formulas[exponent];
  if (text === undefined || call.outputKind() !== 'float') throw new Unsupported('Pow');
  elementwise(call, [0], fromText(text, 'float'));
};

const where: Lowering = (call) =>
  elementwise(call, [0, 1, 2], (_, [condition, then, otherwise]) => {
    const kind = call.outputKind();
    const [c, a, b] = [condition ?? raise(), then ?? raise(), otherwise ?? raise()];
    const code = v128.select(toKind(a, kind).code, toKind(b, kind).code, toKind(c, 'bool').code);
    return { kind, code };
  });

/** NaN is neither below nor above a bound, and passes. */
const clip: Lowering = (call) => {
  const names = ['b', 'c'];
  const low = call.has(1) ? names.shift() : undefined;
  const high = call.has(2) ? names.shift() : undefined;
  const lifted = low === undefined ? 'a' : `select(a, ${low}, a < ${low})`;
  const text = high === undefined ? lifted : `select(${lifted}, ${high}, ${lifted} > ${high})`;
  const given = [0, 1, 2].filter((index) => call.has(index));
  elementwise(call, given, fromText(text, call.outputKind()));
};

const cast: Lowering = (call) => {
  const { dtype } = call.values.type(call.node.outputs[0] ?? '');
  const narrow = !['float32', 'int32', 'int64', 'bool'].includes(dtype);
  if (narrow) throw new Unsupported(`Cast to ${dtype}`);
  const kind = call.outputKind();
  if (kindAt(call, 0) === kind) return call.give(call.input(0));
  elementwise(call, [0], (_, [a]) => toKind(a ?? raise(), kind));
};

const product: Lowering = (call) => elementwise(call, [0, 1], fromText('a * b', 'float'));

/** Tables' lines that need care beyond their text. */
const gelu: Lowering = (call) => {
  const entry = ACTIVATIONS.Gelu;
  if (entry === undefined) throw new Unsupported('Gelu');
  unary(entry)(call);
};

const floatOnly =
  (make: (x: Local, writer: FunctionWriter) => Typed['code']): Lowering =>
  (call) =>
    elementwise(call, [0], (writer, [a]) => {
      const x = writer.vector();
      const value = toKind(a ?? raise(), 'float');
      return { kind: 'float', code: [...x.set(value.code), ...make(x, writer)] };
    });

export const ELEMENTWISE: LoweringTable = {
  ...Object.fromEntries(
    [...Object.entries(UNARY), ...Object.entries(ACTIVATIONS)].map(([name, entry]) => [
      name,
      unary(entry),
    ]),
  ),
  ...Object.fromEntries(
    [...Object.entries(BINARY), ...Object.entries(SLOPES)].map(([name, entry]) => [
      name,
      binary(entry),
    ]),
  ),
  Gelu: gelu,
  // The table's text guards against what WGSL leaves open; here the function has the right limits itself.
  Log: floatOnly((x, writer) => math.log(writer, x)),
  Sigmoid: floatOnly((x, writer) => {
    const minus = writer.vector();
    const below = f32x4.add(math.exp(writer, minus), f32x4.const(1));
    return [...minus.set(f32x4.neg(x.get)), ...f32x4.div(f32x4.const(1), below)];
  }),
  Pow: power,
  Where: where,
  Clip: clip,
  Cast: cast,
  CastLike: cast,
  DropoutTrain: product,
  Identity: (call) => call.give(call.input(0)),
};

export const epsilonOf = (call: Call): number => floatAttribute(call.node, 'epsilon', 1e-5);
