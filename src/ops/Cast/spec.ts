/** Cast and CastLike: between any two element types. */
import { DTYPE_CODE, isFloat } from '../../core/dtype';
import type { DType } from '../../core/dtype';
import { throughType } from '../../core/number-format';
import type { Node } from '../../onnx/graph';
import { intAttribute, stringAttribute, unsupported } from '../attributes';
import type { GradientRule, OpSpec, Value } from '../define';
import { cast } from '../gradients';
import { inputType } from '../shapes';
import { numberFromText, numberToText, placeOfText, textAt } from '../text';
import { inputValue, makeValue } from '../value';

type NumberType = Exclude<DType, 'string'>;

const BY_CODE = new Map(
  Object.entries(DTYPE_CODE).map(([name, code]) => [code as number, name as DType]),
);

/** An element type by ONNX's number; text is refused. */
export function numberType(node: Node, code: number): NumberType {
  const dtype = BY_CODE.get(code);
  if (!dtype || dtype === 'string') throw unsupported(node, `makes element type ${code}`);
  return dtype;
}

function castTarget(node: Node): DType {
  const code = intAttribute(node, 'to');
  return code === DTYPE_CODE.string ? 'string' : numberType(node, code);
}

/** Floats are rounded (float8 saturates unless told not to); integers are cut and wrap; bool is "not zero". */
function convert(node: Node, given: Value, to: DType): Value {
  if (given.dtype === to) return given;
  const x = given.dtype === 'string' ? numbersOfText(given) : given;
  if (to === 'string') return textOfNumbers(x);
  const full = to === 'float32' || to === 'float64';
  // What is float32 already stays in the interpreter's full precision.
  if (full && isFloat(x.dtype)) return makeValue(to, x.dims, x.data);
  const saturate = intAttribute(node, 'saturate', 1) !== 0;
  // Cut where float32 would cut, not where the interpreter's extra digits would.
  const whole = x.dtype === 'float32' ? (v: number) => Math.trunc(Math.fround(v)) : Math.trunc;
  const values = isFloat(to) || to === 'bool' ? x.data : x.data.map(whole);
  const numbers = to === 'float8e8m0' ? values.map(powers(node)) : values;
  return makeValue(to, x.dims, throughType(to, numbers, saturate));
}

function numbersOfText({ dims, data }: Value): Value {
  const read = (place: number) => numberFromText(textAt(place));
  return makeValue('float64', dims, data.map(read));
}

function textOfNumbers({ dtype, dims, data }: Value): Value {
  if (dtype === 'string') return { dtype, dims, data };
  const rounded = throughType(dtype, data);
  return makeValue(
    'string',
    dims,
    rounded.map((x) => placeOfText(numberToText(x, dtype))),
  );
}

/** `round_mode`: float8e8m0 has powers of two only. */
function powers(node: Node): (x: number) => number {
  const mode = stringAttribute(node, 'round_mode', 'up');
  if (mode === 'nearest') return (x) => x;
  const round = mode === 'down' ? Math.floor : Math.ceil;
  return (x) => (x > 0 && x < Infinity ? 2 ** round(Math.log2(x)) : x);
}

const gradient: GradientRule = ({ node, builder, outputGradients, type }) => {
  const [g] = outputGradients;
  const [input] = node.inputs;
  const [output] = node.outputs;
  if (!g || !input || !output || !isFloat(type(input).dtype)) return [];
  const own = type(input).dtype;
  return [own === type(output).dtype ? g : cast(builder, g, own)];
};

const castSpec: OpSpec = {
  name: 'Cast',
  domain: '',
  inputs: [1, 1],
  infer: (context) => [{ dtype: castTarget(context.node), dims: inputType(context, 0).dims }],
  reference: (node, inputs) => [convert(node, inputValue(node, inputs, 0), castTarget(node))],
  gradient,
};

const castLikeSpec: OpSpec = {
  name: 'CastLike',
  domain: '',
  inputs: [2, 2],
  infer: (context) => [{ dtype: inputType(context, 1).dtype, dims: inputType(context, 0).dims }],
  reference: (node, inputs) => [
    convert(node, inputValue(node, inputs, 0), inputValue(node, inputs, 1).dtype),
  ],
  gradient,
};

export const castSpecs: readonly OpSpec[] = [castSpec, castLikeSpec];
