/**
 * com.microsoft.MatMulNBits: a product with a weight of 2, 4 or 8 bits, as language models ship it. The weight is
 * stored transposed, [N, blocks of K, bytes], the first number of a byte in its low bits; each block has a scale
 * and a zero point (2^(bits − 1) where none is given):
 *   y = A · Wᵀ + bias, W[n, k] = (q[n, k] − zero[n, k / block]) · scale[n, k / block]
 */
import { isFloat } from '../../core/dtype';
import type { Node } from '../../onnx/graph';
import type { GraphBuilder } from '../../onnx/builder';
import { intAttribute, unsupported } from '../attributes';
import type { Expansion, OpSpec, Value } from '../define';
import { cast, emitter, reshapeTo, transpose } from '../gradients';
import { matMul } from '../MatMul/reference';
import { dimAt, inputType, shapeError, shapeText } from '../shapes';
import { inputValue, makeValue } from '../value';

interface Layout {
  readonly columns: number;
  readonly inner: number;
  readonly bits: number;
  readonly block: number;
  readonly blocks: number;
  /** Numbers in a byte. */
  readonly perByte: number;
}

function layoutOf(node: Node): Layout {
  const bits = intAttribute(node, 'bits', 4);
  const block = intAttribute(node, 'block_size');
  const inner = intAttribute(node, 'K');
  if (bits !== 2 && bits !== 4 && bits !== 8)
    throw unsupported(node, `has weights of ${bits} bits`);
  return {
    columns: intAttribute(node, 'N'),
    inner,
    bits,
    block,
    blocks: Math.ceil(inner / block),
    perByte: 8 / bits,
  };
}

/** Zero points are packed like weights, a row of whole bytes for each column. */
function zeroPoint(
  layout: Layout,
  given: Value | undefined,
  column: number,
  block: number,
): number {
  const { bits, blocks, perByte } = layout;
  if (!given) return 2 ** (bits - 1);
  if (isFloat(given.dtype)) return given.data[column * blocks + block] as number;
  const row = column * Math.ceil(blocks / perByte);
  return unpacked(given.data[row + Math.floor(block / perByte)] as number, block, layout);
}

function unpacked(byte: number, index: number, { bits, perByte }: Layout): number {
  return (byte >> ((index % perByte) * bits)) & (2 ** bits - 1);
}

/** Wᵀ, [K, N] */
function weight(layout: Layout, codes: Value, scales: Value, zeros: Value | undefined): Value {
  const { columns, inner, block, blocks, perByte } = layout;
  const bytes = (block / perByte) * blocks;
  const result = makeValue(scales.dtype, [inner, columns]);
  for (let n = 0; n < columns; n++) {
    for (let k = 0; k < inner; k++) {
      const at = Math.floor(k / block);
      const byte = codes.data[n * bytes + Math.floor(k / perByte)] as number;
      const code = unpacked(byte, k, layout) - zeroPoint(layout, zeros, n, at);
      result.data[k * columns + n] = code * (scales.data[n * blocks + at] as number);
    }
  }
  return result;
}

/** [rows, bytes] uint8 to [rows, bytes · perByte] of type `dtype`. */
function unpackNodes(
  builder: GraphBuilder,
  bytes: string,
  [rows, length]: readonly [number, number],
  { bits, perByte }: Layout,
  dtype: Value['dtype'],
): string {
  const byte = (value: number) => cast(builder, builder.scalar(value), 'uint8');
  const flat = reshapeTo(builder, bytes, [rows, length, 1]);
  const right = { direction: { type: 'string', value: 'RIGHT' } } as const;
  const parts = Array.from({ length: perByte }, (_, index) => {
    const shifted =
      index === 0 ? flat : builder.node('BitShift', [flat, byte(index * bits)], right);
    return builder.node('BitwiseAnd', [shifted, byte(2 ** bits - 1)]);
  });
  const [only = ''] = parts;
  const beside =
    parts.length === 1 ? only : builder.node('Concat', parts, { axis: { type: 'int', value: 2 } });
  return cast(builder, reshapeTo(builder, beside, [rows, length * perByte]), dtype);
}

const expand: Expansion = ({ node, builder, type }) => {
  const [a = '', codes = '', scales = '', zeros = '', , bias = ''] = node.inputs;
  const layout = layoutOf(node);
  const { columns, inner, bits, block, blocks, perByte } = layout;
  const { dtype } = type(scales);
  const e = emitter(builder, dtype);
  const first = (value: string, count: number) =>
    builder.node('Slice', [value, builder.ints([0]), builder.ints([count]), builder.ints([1])]);
  const perBlock = (value: string) => reshapeTo(builder, value, [columns, blocks, 1]);
  const zero = () => {
    if (zeros === '') return 2 ** (bits - 1);
    if (isFloat(type(zeros).dtype)) return perBlock(zeros);
    const width = Math.ceil(blocks / perByte);
    const all = unpackNodes(builder, zeros, [columns, width], layout, dtype);
    return perBlock(width * perByte === blocks ? all : first(all, blocks));
  };
  const bytes = (block / perByte) * blocks;
  const numbers = unpackNodes(builder, codes, [columns, bytes], layout, dtype);
  const grouped = reshapeTo(builder, numbers, [columns, blocks, block]);
  const scaled = e('Mul', e('Sub', grouped, zero()), perBlock(scales));
  const flat = reshapeTo(builder, scaled, [columns, blocks * block]);
  const full = blocks * block === inner ? flat : first(flat, inner);
  const left = type(a).dtype === dtype ? a : cast(builder, a, dtype);
  const y = builder.node('MatMul', [left, transpose(builder, full, [1, 0])]);
  const shifted = bias === '' ? y : e('Add', y, bias);
  return [type(a).dtype === dtype ? shifted : cast(builder, shifted, type(a).dtype)];
};

export const matMulNBitsSpec: OpSpec = {
  name: 'MatMulNBits',
  domain: 'com.microsoft',
  inputs: [3, 6],
  infer: (context) => {
    const { node } = context;
    const { columns, inner } = layoutOf(node);
    const { dtype, dims } = inputType(context, 0);
    if (context.inputs[4]) throw unsupported(node, 'orders its groups by g_idx');
    const found = dims.length === 0 ? 0 : dimAt(dims, dims.length - 1);
    if (typeof found === 'number' && found !== inner) {
      throw shapeError(node, 'input 0', `${inner} long on its last axis`, shapeText(dims));
    }
    return [{ dtype, dims: [...dims.slice(0, -1), columns] }];
  },
  reference: (node, inputs) => {
    const a = inputValue(node, inputs, 0);
    if (inputs[4]) throw unsupported(node, 'orders its groups by g_idx');
    const [codes, scales] = [inputValue(node, inputs, 1), inputValue(node, inputs, 2)];
    const layout = layoutOf(node);
    const y = matMul(node, a, weight(layout, codes, scales, inputs[3]));
    const bias = inputs[5]?.data;
    if (!bias) return [y];
    const data = y.data.map((value, at) => value + (bias[at % layout.columns] as number));
    return [makeValue(y.dtype, y.dims, data)];
  },
  expand,
};
