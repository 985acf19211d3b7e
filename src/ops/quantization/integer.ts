/**
 * Products of quantised numbers: MatMulInteger and ConvInteger give the whole sums, QLinearMatMul and QLinearConv
 * bring them to the output's scale:  y = saturate(round(sum · (scale_a · scale_b / scale_y)) + zero_y)
 */
import { sizeOf } from '../../core/dtype';
import type { Dim } from '../../onnx/graph';
import type { GraphBuilder } from '../../onnx/builder';
import { convReference } from '../Conv/reference';
import { convDims } from '../Conv/spec';
import type { Expansion, ExpansionContext, OpSpec, Value } from '../define';
import { cast, emitter, reshapeTo } from '../gradients';
import { matMul, matMulDims } from '../MatMul/reference';
import { inputType, sameDims } from '../shapes';
import { inputValue, makeValue } from '../value';
import { quantise } from './linear';

/** Shape with which a parameter of a row, of a column or of a filter broadcasts to its tensor. */
type Along = 'rows' | 'columns' | 'filters';

function parameterDims(along: Along, x: readonly number[], own: readonly number[]): number[] {
  const size = sizeOf(own);
  if (size === 1) return [];
  // One for each matrix of a batch comes in the tensor's rank already.
  if (own.length > 1) return [...own];
  if (along === 'rows') return [size, 1];
  return along === 'columns' ? [size] : [size, ...x.slice(1).map(() => 1)];
}

/** For each element of x, its entry of a parameter. */
function entry(along: Along, x: readonly number[], parameter: Value): (at: number) => number {
  const { data, dims } = parameter;
  if (data.length === 1) return () => data[0] as number;
  const columns = x.at(-1) ?? 1;
  const rows = x.at(-2) ?? 1;
  const filter = sizeOf(x.slice(1));
  const perMatrix = sizeOf(dims.slice(-2));
  return (at) => {
    if (along === 'filters') return data[Math.floor(at / filter) % data.length] as number;
    const matrix = dims.length > 1 ? Math.floor(at / (rows * columns)) * perMatrix : 0;
    const place = along === 'rows' ? Math.floor(at / columns) % rows : at % columns;
    return data[(matrix + place) % data.length] as number;
  };
}

/** The zero point first: so padding is a true zero, as the standard asks. */
function centred(x: Value, zero: Value | undefined, along: Along): Value {
  const shift = zero ? entry(along, x.dims, zero) : () => 0;
  const data = x.data.map((value, at) => value - shift(at));
  return makeValue('int32', x.dims, data);
}

function centredNode(
  { builder, type }: ExpansionContext,
  x: string,
  zero: string | undefined,
  along: Along,
  as: 'int32' | 'float32',
): string {
  const codes = cast(builder, x, as);
  if (zero === undefined || zero === '') return codes;
  const shift = wide(builder, cast(builder, zero, as), along, type(x).dims, type(zero).dims);
  return builder.node('Sub', [codes, shift]);
}

function wide(
  builder: GraphBuilder,
  value: string,
  along: Along,
  x: readonly number[],
  own: readonly number[],
): string {
  const dims = parameterDims(along, x, own);
  return sameDims(dims, own) ? value : reshapeTo(builder, value, dims);
}

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
    const a = centred(inputValue(node, inputs, 0), inputs[2], 'rows');
    return [matMul(node, a, centred(inputValue(node, inputs, 1), inputs[3], 'columns'))];
  },
  expand: (context) => {
    const [a = '', b = '', zeroA, zeroB] = context.node.inputs;
    const left = centredNode(context, a, zeroA, 'rows', 'int32');
    const right = centredNode(context, b, zeroB, 'columns', 'int32');
    return [context.builder.node('MatMul', [left, right])];
  },
};

/** In float32, whose whole numbers are exact to 2^24: the standard has no Conv of integers. */
const expandConv: Expansion = (context) => {
  const { node, builder } = context;
  const [x = '', w = '', zeroX, zeroW] = node.inputs;
  const sums = builder.node(
    'Conv',
    [
      centredNode(context, x, zeroX, 'filters', 'float32'),
      centredNode(context, w, zeroW, 'filters', 'float32'),
    ],
    Object.fromEntries(node.attributes),
  );
  return [cast(builder, builder.node('Round', [sums]), 'int32')];
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
    const x = centred(inputValue(node, inputs, 0), inputs[2], 'filters');
    const w = centred(inputValue(node, inputs, 1), inputs[3], 'filters');
    return convReference(node, [x, w], scope);
  },
  expand: expandConv,
};

/** Whole sums to codes of y; `factor` is the product of the operands' scales at an element. */
function requantised(
  node: Parameters<typeof quantise>[0],
  sums: Value,
  factor: (at: number) => number,
  scale: Value,
  zero: Value,
): Value {
  const scaleAt = entry('rows', sums.dims, scale);
  const zeroAt = entry('rows', sums.dims, zero);
  const ratio = sums.data.map((sum, at) =>
    Math.fround(sum * Math.fround(factor(at) / scaleAt(at))),
  );
  return makeValue(zero.dtype, sums.dims, quantise(node, ratio, zeroAt, zero.dtype));
}

/** (a, scale, zero, b, scale, zero, scale of y, zero of y, …): both QLinear operators begin so. */
function qlinearInputs(
  node: Parameters<typeof quantise>[0],
  inputs: readonly (Value | undefined)[],
) {
  const [a, scaleA, zeroA, b, scaleB, zeroB, scaleY, zeroY] = Array.from(
    { length: 8 },
    (_, index) => inputValue(node, inputs, index),
  ) as [Value, Value, Value, Value, Value, Value, Value, Value];
  return { a, scaleA, zeroA, b, scaleB, zeroB, scaleY, zeroY };
}

const qlinearMatMulSpec: OpSpec = {
  name: 'QLinearMatMul',
  domain: '',
  inputs: [8, 8],
  infer: (context) => {
    const a = inputType(context, 0);
    const b = inputType(context, 3);
    const { dims } = matMulDims(context.node, a.dims, b.dims);
    return [{ dtype: inputType(context, 7).dtype, dims }];
  },
  reference: (node, inputs) => {
    const { a, scaleA, zeroA, b, scaleB, zeroB, scaleY, zeroY } = qlinearInputs(node, inputs);
    const sums = matMul(node, centred(a, zeroA, 'rows'), centred(b, zeroB, 'columns'));
    const left = entry('rows', sums.dims, scaleA);
    const right = entry('columns', sums.dims, scaleB);
    const factor = (at: number) => Math.fround(left(at) * right(at));
    return [requantised(node, sums, factor, scaleY, zeroY)];
  },
  expand: (context) => {
    const { node, builder, type } = context;
    const [
      a = '',
      scaleA = '',
      zeroA = '',
      b = '',
      scaleB = '',
      zeroB = '',
      scaleY = '',
      zeroY = '',
    ] = node.inputs;
    const { dtype } = type(scaleA);
    const e = emitter(builder, dtype);
    const sums = cast(builder, builder.node('MatMulInteger', [a, b, zeroA, zeroB]), dtype);
    const left = wide(builder, scaleA, 'rows', type(a).dims, type(scaleA).dims);
    const right = wide(builder, scaleB, 'columns', type(b).dims, type(scaleB).dims);
    return [e('QuantizeLinear', e('Mul', sums, e('Mul', left, right)), scaleY, zeroY)];
  },
};

/** Bias and scales of filters beside [N, M, …]. */
function perChannel(rank: number, size: number): number[] {
  return size === 1 ? [] : [size, ...Array.from({ length: rank - 2 }, () => 1)];
}

const qlinearConvSpec: OpSpec = {
  name: 'QLinearConv',
  domain: '',
  inputs: [8, 9],
  infer: (context) => {
    const x = inputType(context, 0);
    const w = inputType(context, 3);
    const dims: readonly Dim[] = convDims(context.node, x.dims, w.dims);
    return [{ dtype: inputType(context, 7).dtype, dims }];
  },
  reference: (node, inputs, scope) => {
    const { a, scaleA, zeroA, b, scaleB, zeroB, scaleY, zeroY } = qlinearInputs(node, inputs);
    const operands = [centred(a, zeroA, 'filters'), centred(b, zeroB, 'filters')];
    const bias = inputs[8] ? [inputs[8]] : [];
    const [sums] = convReference(node, [...operands, ...bias], scope);
    if (!sums) return [];
    const plane = sizeOf(sums.dims.slice(2));
    const scales = scaleB.data;
    const factor = (at: number) => {
      const channel = Math.floor(at / plane) % (sums.dims[1] ?? 1);
      return Math.fround((scaleA.data[0] as number) * (scales[channel % scales.length] as number));
    };
    return [requantised(node, sums, factor, scaleY, zeroY)];
  },
  expand: (context) => {
    const { node, builder, type } = context;
    const [
      x = '',
      scaleX = '',
      zeroX = '',
      w = '',
      scaleW = '',
      zeroW = '',
      scaleY = '',
      zeroY = '',
    ] = node.inputs;
    const bias = node.inputs[8] ?? '';
    const { dims } = type(x);
    const { dtype } = type(scaleX);
    const e = emitter(builder, dtype);
    const settings = Object.fromEntries(node.attributes);
    const sums = builder.node('ConvInteger', [x, w, zeroX, zeroW], settings);
    const channels = (value: string) =>
      reshapeTo(builder, value, perChannel(dims.length, sizeOf(type(value).dims)));
    const biased = bias === '' ? sums : e('Add', sums, channels(bias));
    const factor = e('Mul', reshapeTo(builder, scaleX, []), channels(scaleW));
    const scaled = e('Mul', cast(builder, biased, dtype), factor);
    return [e('QuantizeLinear', scaled, scaleY, zeroY)];
  },
};

export const integerSpecs: readonly OpSpec[] = [
  matMulIntegerSpec,
  convIntegerSpec,
  qlinearMatMulSpec,
  qlinearConvSpec,
];
