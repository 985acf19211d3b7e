/**
 * QuantizeLinear, DequantizeLinear and DynamicQuantizeLinear. ONNX rounds half to even and saturates:
 *   q = saturate(round(x / scale) + zero_point), x = (q − zero_point) · scale
 */
import { isFloat } from '../../core/dtype';
import type { DType } from '../../core/dtype';
import { throughType } from '../../core/number-format';
import { attr } from '../../onnx/graph';
import type { Node } from '../../onnx/graph';
import { intAttribute, unsupported } from '../attributes';
import { numberType } from '../Cast/spec';
import type { Expansion, OpSpec, Value } from '../define';
import { roundHalfEven } from '../elementwise/rounding';
import { cast, emitter } from '../gradients';
import { inputType } from '../shapes';
import { inputValue, makeValue } from '../value';
import { broadcastParameter, checkParameters, parameterIndex } from './parameters';

const RANGE: Partial<Record<DType, readonly [number, number]>> = {
  uint4: [0, 15],
  int4: [-8, 7],
  uint8: [0, 255],
  int8: [-128, 127],
  uint16: [0, 65535],
  int16: [-32768, 32767],
  int32: [-2147483648, 2147483647],
};

function rangeOf(node: Node, dtype: DType): readonly [number, number] {
  const range = RANGE[dtype];
  if (!range) throw unsupported(node, `quantises to ${dtype}`);
  return range;
}

/** `output_dtype`, where the node has one. */
function typeAttribute(node: Node, name: string): Exclude<DType, 'string'> | undefined {
  const code = intAttribute(node, name, 0);
  return code === 0 ? undefined : numberType(node, code);
}

function quantisedType(node: Node, zeroPoint: DType | undefined): DType {
  return zeroPoint ?? typeAttribute(node, 'output_dtype') ?? 'uint8';
}

/** Ratios x / scale, already rounded as the runtime's own type would, to the codes of `dtype`. */
export function quantise(
  node: Node,
  ratio: Float64Array,
  zero: (at: number) => number,
  dtype: DType,
): Float64Array {
  if (isFloat(dtype) && dtype !== 'string') {
    const saturate = intAttribute(node, 'saturate', 1) !== 0;
    return throughType(
      dtype,
      ratio.map((value, at) => value + zero(at)),
      saturate,
    );
  }
  const [low, high] = rangeOf(node, dtype);
  return ratio.map((value, at) => Math.min(high, Math.max(low, roundHalfEven(value) + zero(at))));
}

const expandQuantize: Expansion = ({ node, builder, type }) => {
  const [x = '', scale = '', zero = ''] = node.inputs;
  const { dtype, dims } = type(x);
  const scaleType = type(scale);
  const target = quantisedType(node, zero === '' ? undefined : type(zero).dtype);
  const e = emitter(builder, scaleType.dtype);
  const wide = (value: string) => broadcastParameter(node, builder, value, dims, scaleType.dims);
  const own = dtype === scaleType.dtype ? x : cast(builder, x, scaleType.dtype);
  const ratio = e('Div', own, wide(scale));
  if (isFloat(target)) {
    const saturate = attr.int(intAttribute(node, 'saturate', 1));
    const like = cast(builder, builder.scalar(0), target);
    return [builder.node('CastLike', [ratio, zero === '' ? like : zero], { saturate })];
  }
  const rounded = e('Round', ratio);
  const shifted =
    zero === '' ? rounded : e('Add', rounded, wide(cast(builder, zero, scaleType.dtype)));
  return [cast(builder, e('Clip', shifted, ...rangeOf(node, target)), target)];
};

const quantizeLinearSpec: OpSpec = {
  name: 'QuantizeLinear',
  domain: '',
  inputs: [2, 3],
  infer: (context) => {
    const { node } = context;
    const { dims } = inputType(context, 0);
    checkParameters(node, dims, inputType(context, 1).dims);
    return [{ dtype: quantisedType(node, context.inputs[2]?.dtype), dims }];
  },
  reference: (node, inputs) => {
    const x = inputValue(node, inputs, 0);
    const scale = inputValue(node, inputs, 1);
    const zero = inputs[2];
    const dtype = quantisedType(node, zero?.dtype);
    const parameter = parameterIndex(node, x.dims, scale.dims);
    // Divided in the type of the scale, as runtimes do: otherwise values near a half round the other way.
    const precision = typeAttribute(node, 'precision') ?? numeric(scale.dtype);
    const given = throughType(precision, x.data);
    const ratio = given.map((value, at) => value / (scale.data[parameter(at)] as number));
    const codes = quantise(
      node,
      throughType(precision, ratio),
      (at) => zero?.data[parameter(at)] ?? 0,
      dtype,
    );
    return [makeValue(dtype, x.dims, codes)];
  },
  expand: expandQuantize,
};

function numeric(dtype: DType): Exclude<DType, 'string'> {
  return dtype === 'string' ? 'float32' : dtype;
}

const dequantizeLinearSpec: OpSpec = {
  name: 'DequantizeLinear',
  domain: '',
  inputs: [2, 3],
  infer: (context) => {
    const { node } = context;
    const { dims } = inputType(context, 0);
    const scale = inputType(context, 1);
    checkParameters(node, dims, scale.dims);
    return [{ dtype: typeAttribute(node, 'output_dtype') ?? scale.dtype, dims }];
  },
  reference: (node, inputs) => {
    const x = inputValue(node, inputs, 0);
    const scale = inputValue(node, inputs, 1);
    const parameter = parameterIndex(node, x.dims, scale.dims);
    const y = makeValue(typeAttribute(node, 'output_dtype') ?? scale.dtype, x.dims);
    for (let i = 0; i < y.data.length; i++) {
      const at = parameter(i);
      y.data[i] = ((x.data[i] as number) - (inputs[2]?.data[at] ?? 0)) * (scale.data[at] as number);
    }
    return [y];
  },
  expand: ({ node, builder, type }) => {
    const [x = '', scale = '', zero = ''] = node.inputs;
    const { dtype, dims } = type(scale);
    const e = emitter(builder, dtype);
    const wide = (value: string) => broadcastParameter(node, builder, value, type(x).dims, dims);
    const codes = cast(builder, x, dtype);
    const shifted = zero === '' ? codes : e('Sub', codes, wide(cast(builder, zero, dtype)));
    const y = e('Mul', shifted, wide(scale));
    const target = typeAttribute(node, 'output_dtype') ?? dtype;
    return [target === dtype ? y : cast(builder, y, target)];
  },
};

/** Scale and zero point from the range of the values themselves, which always includes 0. */
const dynamicQuantizeLinearSpec: OpSpec = {
  name: 'DynamicQuantizeLinear',
  domain: '',
  inputs: [1, 1],
  infer: (context) => {
    const { dims } = inputType(context, 0);
    return [
      { dtype: 'uint8', dims },
      { dtype: 'float32', dims: [] },
      { dtype: 'uint8', dims: [] },
    ];
  },
  reference: (node, inputs): Value[] => {
    const x = inputValue(node, inputs, 0);
    let low = 0;
    let high = 0;
    for (const value of x.data) {
      if (value < low) low = Math.fround(value);
      if (value > high) high = Math.fround(value);
    }
    const scale = high === low ? 1 : Math.fround(Math.fround(high - low) / 255);
    const [zero = 0] = quantise(node, Float64Array.of(Math.fround(-low / scale)), () => 0, 'uint8');
    const ratio = x.data.map((value) => Math.fround(Math.fround(value) / scale));
    return [
      makeValue(
        'uint8',
        x.dims,
        quantise(node, ratio, () => zero, 'uint8'),
      ),
      makeValue('float32', [], Float64Array.of(scale)),
      makeValue('uint8', [], Float64Array.of(zero)),
    ];
  },
  expand: ({ node, builder }) => {
    const [x = ''] = node.inputs;
    const e = emitter(builder);
    const all = { keepdims: attr.int(0) };
    const low = e('Min', builder.node('ReduceMin', [x], all), 0);
    const high = e('Max', builder.node('ReduceMax', [x], all), 0);
    const range = e('Div', e('Sub', high, low), 255);
    const scale = e('Where', e('Equal', range, 0), 1, range);
    const zero = cast(
      builder,
      e('Clip', e('Round', e('Div', e('Neg', low), scale)), 0, 255),
      'uint8',
    );
    return [e('QuantizeLinear', x, scale, zero), scale, zero];
  },
};

export const linearSpecs: readonly OpSpec[] = [
  quantizeLinearSpec,
  dequantizeLinearSpec,
  dynamicQuantizeLinearSpec,
];
