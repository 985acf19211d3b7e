/**
 * The int8 operators of exported models, for the reference interpreter only: no gradients. ONNX rounds half to
 * even and saturates: q = saturate(round(x / scale) + zero_point), x = (q − zero_point) · scale.
 */
import type { DType } from '../../core/dtype';
import type { Node } from '../../onnx/graph';
import { intAttribute, unsupported } from '../attributes';
import { convReference } from '../Conv/reference';
import { convDims } from '../Conv/spec';
import type { OpSpec, Value } from '../define';
import { matMul, matMulDims } from '../MatMul/reference';
import { aroundAxis, dimAt, inputType, normalizeAxis } from '../shapes';
import { inputValue, makeValue } from '../value';

const RANGE: Partial<Record<DType, readonly [number, number]>> = {
  uint8: [0, 255],
  int8: [-128, 127],
  uint16: [0, 65535],
  int16: [-32768, 32767],
  int32: [-2147483648, 2147483647],
};

export function roundHalfEven(x: number): number {
  const floor = Math.floor(x);
  const rest = x - floor;
  if (rest !== 0.5) return Math.round(x);
  return floor % 2 === 0 ? floor : floor + 1;
}

function saturate(node: Node, x: number, dtype: DType): number {
  const range = RANGE[dtype];
  if (!range) throw unsupported(node, `quantises to ${dtype}`);
  return Math.min(range[1], Math.max(range[0], x));
}

/** For each element of x, the entry of a per-tensor or per-axis parameter. */
function parameterIndex(node: Node, x: Value, scale: Value): (at: number) => number {
  if (intAttribute(node, 'block_size', 0) !== 0) throw unsupported(node, 'quantises in blocks');
  if (scale.data.length === 1) return () => 0;
  const axis = normalizeAxis(node, intAttribute(node, 'axis', 1), x.dims.length);
  const { length, inner } = aroundAxis(x.dims, axis);
  return (at) => Math.floor(at / inner) % length;
}

const quantizeLinearSpec: OpSpec = {
  name: 'QuantizeLinear',
  domain: '',
  inputs: [2, 3],
  infer: (context) => [
    { dtype: context.inputs[2]?.dtype ?? 'uint8', dims: inputType(context, 0).dims },
  ],
  reference: (node, inputs) => {
    const x = inputValue(node, inputs, 0);
    const scale = inputValue(node, inputs, 1);
    const dtype = inputs[2]?.dtype ?? 'uint8';
    const parameter = parameterIndex(node, x, scale);
    const y = makeValue(dtype, x.dims);
    for (let i = 0; i < y.data.length; i++) {
      const at = parameter(i);
      // Divided as float32, as every runtime does: otherwise values near a half round the other way.
      const ratio = Math.fround(Math.fround(x.data[i] as number) / (scale.data[at] as number));
      y.data[i] = saturate(node, roundHalfEven(ratio) + (inputs[2]?.data[at] ?? 0), dtype);
    }
    return [y];
  },
};

const dequantizeLinearSpec: OpSpec = {
  name: 'DequantizeLinear',
  domain: '',
  inputs: [2, 3],
  infer: (context) => [{ dtype: inputType(context, 1).dtype, dims: inputType(context, 0).dims }],
  reference: (node, inputs) => {
    const x = inputValue(node, inputs, 0);
    const scale = inputValue(node, inputs, 1);
    const parameter = parameterIndex(node, x, scale);
    const y = makeValue(scale.dtype, x.dims);
    for (let i = 0; i < y.data.length; i++) {
      const at = parameter(i);
      y.data[i] = ((x.data[i] as number) - (inputs[2]?.data[at] ?? 0)) * (scale.data[at] as number);
    }
    return [y];
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
  reference: (node, inputs) => {
    const x = inputValue(node, inputs, 0);
    let low = 0;
    let high = 0;
    for (const value of x.data) {
      if (value < low) low = Math.fround(value);
      if (value > high) high = Math.fround(value);
    }
    const scale = high === low ? 1 : Math.fround(Math.fround(high - low) / 255);
    const zero = saturate(node, roundHalfEven(Math.fround(-low / scale)), 'uint8');
    const y = x.data.map((value) =>
      saturate(node, roundHalfEven(Math.fround(Math.fround(value) / scale)) + zero, 'uint8'),
    );
    return [
      makeValue('uint8', x.dims, y),
      makeValue('float32', [], Float64Array.of(scale)),
      makeValue('uint8', [], Float64Array.of(zero)),
    ];
  },
};

const matMulIntegerSpec: OpSpec = {
  name: 'MatMulInteger',
  domain: '',
  inputs: [2, 4],
  infer: (context) => {
    const a = inputType(context, 0);
    const b = inputType(context, 1);
    return [{ dtype: 'int32', dims: matMulDims(context.node, a.dims, b.dims).dims }];
  },
  reference: (node, inputs) => {
    const a = inputValue(node, inputs, 0);
    const b = inputValue(node, inputs, 1);
    // A zero point a row of A (second last axis) or a column of B (last axis).
    const shift = (x: Value, zero: Value | undefined, inner: number) =>
      makeValue(
        'int32',
        x.dims,
        x.data.map(
          (value, at) =>
            value - (zero ? (zero.data[Math.floor(at / inner) % zero.data.length] as number) : 0),
        ),
      );
    const left = shift(a, inputs[2], a.dims[a.dims.length - 1] ?? 1);
    return [matMul(node, left, shift(b, inputs[3], 1))];
  },
};

const convIntegerSpec: OpSpec = {
  name: 'ConvInteger',
  domain: '',
  inputs: [2, 4],
  infer: (context) => {
    const x = inputType(context, 0);
    const w = inputType(context, 1);
    return [{ dtype: 'int32', dims: convDims(context.node, x.dims, w.dims) }];
  },
  reference: (node, inputs, scope) => {
    const x = inputValue(node, inputs, 0);
    const w = inputValue(node, inputs, 1);
    const filter = w.data.length / dimAt(w.dims, 0);
    const zeroX = inputs[2]?.data[0] ?? 0;
    const zeroW = inputs[3];
    // Subtracting the zero point first makes the padding a true zero, as the standard asks.
    const left = makeValue(
      'int32',
      x.dims,
      x.data.map((value) => value - zeroX),
    );
    const right = makeValue(
      'int32',
      w.dims,
      w.data.map(
        (value, at) =>
          value - (zeroW ? (zeroW.data[Math.floor(at / filter) % zeroW.data.length] as number) : 0),
      ),
    );
    return convReference(node, [left, right], scope);
  },
};

export const quantizationSpecs: readonly OpSpec[] = [
  quantizeLinearSpec,
  dequantizeLinearSpec,
  dynamicQuantizeLinearSpec,
  matMulIntegerSpec,
  convIntegerSpec,
];
