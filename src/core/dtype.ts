/** Element types by ONNX's numbering (TensorProto.DataType), with the array that holds each. */
export const DTYPE_CODE = {
  float32: 1,
  uint8: 2,
  int8: 3,
  uint16: 4,
  int16: 5,
  int32: 6,
  int64: 7,
  string: 8,
  bool: 9,
  float16: 10,
  float64: 11,
  uint32: 12,
  uint64: 13,
} as const;

export type DType = keyof typeof DTYPE_CODE;

/** float16 is held as its raw bits; bool as 0/1 bytes; strings as UTF-8 text. */
export interface ArrayOf {
  float32: Float32Array;
  uint8: Uint8Array;
  int8: Int8Array;
  uint16: Uint16Array;
  int16: Int16Array;
  int32: Int32Array;
  int64: BigInt64Array;
  string: string[];
  bool: Uint8Array;
  float16: Uint16Array;
  float64: Float64Array;
  uint32: Uint32Array;
  uint64: BigUint64Array;
}

export type TensorArray = ArrayOf[DType];

/** Bytes an element takes in `raw_data`; strings have no fixed size. */
export const BYTES_PER_ELEMENT: Readonly<Record<Exclude<DType, 'string'>, number>> = {
  float32: 4,
  uint8: 1,
  int8: 1,
  uint16: 2,
  int16: 2,
  int32: 4,
  int64: 8,
  bool: 1,
  float16: 2,
  float64: 8,
  uint32: 4,
  uint64: 8,
};

export function isFloat(dtype: DType): boolean {
  return dtype === 'float32' || dtype === 'float64' || dtype === 'float16';
}

/** Number of elements of a shape; a scalar (`[]`) has one. */
export function sizeOf(dims: readonly number[]): number {
  let size = 1;
  for (const dim of dims) size *= dim;
  return size;
}
