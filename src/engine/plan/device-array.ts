/** Tensors as the device holds them: floating point as float32, whole numbers of every width and bool as int32. */
import { AppError } from '../../core/errors';
import type { Tensor } from '../../onnx/graph';
import { deviceType } from '../../ops/lowering/context';
import { valueOf } from '../../ops/value';

const LOWEST = -(2 ** 31);
const HIGHEST = 2 ** 31 - 1;
/** From here on a number is a bound such as INT64_MAX ("to the end"), which may be the largest that there is. */
const UNBOUNDED = 2 ** 62;

/** @throws AppError `engine/unsupported` for a number that int32 or float32 does not hold */
export function deviceArray(
  name: string,
  tensor: Tensor,
): Float32Array<ArrayBuffer> | Int32Array<ArrayBuffer> {
  if (deviceType(tensor.dtype) === 'float32') {
    // As it is, but where its bytes are shared memory, which the device does not take.
    const { data } = tensor;
    if (data instanceof Float32Array && data.buffer instanceof ArrayBuffer) {
      return data as Float32Array<ArrayBuffer>;
    }
    const { data: exact } = valueOf(tensor);
    const held = Float32Array.from(exact);
    const lost = held.findIndex(
      (value, at) => !Number.isFinite(value) && Number.isFinite(exact[at]),
    );
    if (lost === -1) return held;
    throw new AppError(
      'engine/unsupported',
      `"${name}" holds ${exact[lost]}. The graphics processor computes with float32, which ends at 3.4e38.`,
      { name, value: exact[lost] },
    );
  }
  return Int32Array.from(valueOf(tensor).data, (value) => {
    if (value >= UNBOUNDED) return HIGHEST;
    if (value <= -UNBOUNDED) return LOWEST;
    if (value >= LOWEST && value <= HIGHEST) return value;
    throw new AppError(
      'engine/unsupported',
      `"${name}" holds ${value}. The graphics processor computes with whole numbers from ${LOWEST} to ${HIGHEST}.`,
      { name, value },
    );
  });
}
