/** Values of the reference interpreter to and from tensors. */
import { AppError } from '../core/errors';
import { sizeOf } from '../core/dtype';
import type { DType } from '../core/dtype';
import { decodeNumbers, encodeNumbers } from '../core/number-format';
import type { Node, Tensor } from '../onnx/graph';
import type { Value } from './define';
import { placeOfText, textAt } from './text';

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

export function valueOf(tensor: Tensor): Value {
  const { dtype, dims, data } = tensor;
  if (dtype === 'string' || Array.isArray(data)) {
    return { dtype, dims, data: Float64Array.from(data as string[], placeOfText) };
  }
  return { dtype, dims, data: decodeNumbers(dtype, data, dims) };
}

export function tensorOf(value: Value): Tensor {
  const { dtype, dims, data } = value;
  if (dtype === 'string') return { dtype, dims, data: Array.from(data, textAt) };
  return { dtype, dims, data: dtype === 'float64' ? data : encodeNumbers(dtype, data, false) };
}

/** Numbers of a constant tensor: axes, shapes, starts. */
export function numbersOf(tensor: Tensor): number[] {
  return Array.from(valueOf(tensor).data);
}
