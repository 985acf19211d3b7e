/** Values of the reference interpreter to and from tensors. Strings have no value here. */
import { AppError } from '../core/errors';
import { sizeOf } from '../core/dtype';
import type { DType } from '../core/dtype';
import type { Node, Tensor } from '../onnx/graph';
import type { Value } from './define';

export function makeValue(dtype: DType, dims: readonly number[], data?: Float64Array): Value {
  return { dtype, dims, data: data ?? new Float64Array(sizeOf(dims)) };
}

/** Input `index` of a kernel that cannot do without it. */
export function inputValue(
  node: Node,
  inputs: readonly (Value | undefined)[],
  index: number,
): Value {
  const value = inputs[index];
  if (!value) {
    throw new AppError('onnx/input', `Node "${node.name}" (${node.op}) lacks its input ${index}.`, {
      node: node.name,
      op: node.op,
    });
  }
  return value;
}

/** IEEE 754 binary16 to a number. */
export function halfToNumber(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >> 10) & 0x1f;
  const fraction = bits & 0x3ff;
  if (exponent === 0) return sign * fraction * 2 ** -24;
  if (exponent === 0x1f) return fraction ? NaN : sign * Infinity;
  return sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
}

export function valueOf(tensor: Tensor): Value {
  const { dtype, dims, data } = tensor;
  if (Array.isArray(data)) {
    throw new AppError('onnx/unsupported', 'The reference interpreter does not hold text tensors.');
  }
  if (dtype === 'float16') {
    return { dtype, dims, data: Float64Array.from(data as Uint16Array, halfToNumber) };
  }
  if (data instanceof BigInt64Array || data instanceof BigUint64Array) {
    const numbers = new Float64Array(data.length);
    data.forEach((value: bigint, index: number) => (numbers[index] = Number(value)));
    return { dtype, dims, data: numbers };
  }
  return { dtype, dims, data: Float64Array.from(data) };
}

const I64_MAX = 2n ** 63n - 1n;

function toBigInt(value: number): bigint {
  const result = BigInt(Math.trunc(value));
  return result > I64_MAX ? I64_MAX : result;
}

export function tensorOf(value: Value): Tensor {
  const { dtype, dims, data } = value;
  switch (dtype) {
    case 'float32':
      return { dtype, dims, data: Float32Array.from(data) };
    case 'float64':
      return { dtype, dims, data };
    case 'int64':
      return { dtype, dims, data: BigInt64Array.from(Array.from(data, toBigInt)) };
    case 'uint64':
      return { dtype, dims, data: BigUint64Array.from(Array.from(data, toBigInt)) };
    case 'int32':
      return { dtype, dims, data: Int32Array.from(data) };
    case 'uint32':
      return { dtype, dims, data: Uint32Array.from(data) };
    case 'int16':
      return { dtype, dims, data: Int16Array.from(data) };
    case 'uint16':
      return { dtype, dims, data: Uint16Array.from(data) };
    case 'int8':
      return { dtype, dims, data: Int8Array.from(data) };
    case 'uint8':
    case 'bool':
      return { dtype, dims, data: Uint8Array.from(data) };
    default:
      throw new AppError(
        'onnx/unsupported',
        `The reference interpreter does not write ${dtype} tensors.`,
      );
  }
}

/** Numbers of a constant tensor: axes, shapes, starts. */
export function numbersOf(tensor: Tensor): number[] {
  return Array.from(valueOf(tensor).data);
}
