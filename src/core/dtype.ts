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
  bfloat16: 16,
  float8e4m3fn: 17,
  float8e4m3fnuz: 18,
  float8e5m2: 19,
  float8e5m2fnuz: 20,
  uint4: 21,
  int4: 22,
  float4e2m1: 23,
  float8e8m0: 24,
} as const;

export type DType = keyof typeof DTYPE_CODE;

/**
 * Floats without an array type of their own are held as their raw bits; bool as 0/1 bytes; strings as UTF-8 text.
 * Of the 4-bit types two elements share a byte, the first in its low half.
 */
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
  bfloat16: Uint16Array;
  float8e4m3fn: Uint8Array;
  float8e4m3fnuz: Uint8Array;
  float8e5m2: Uint8Array;
  float8e5m2fnuz: Uint8Array;
  uint4: Uint8Array;
  int4: Uint8Array;
  float4e2m1: Uint8Array;
  float8e8m0: Uint8Array;
}

export type TensorArray = ArrayOf[DType];
export type NumericDType = Exclude<DType, 'string'>;
export type NumericArray = ArrayOf[NumericDType];

/** Bytes an entry of a type's array takes; strings have no fixed size. See `storedLength` for the 4-bit types. */
export const BYTES_PER_ELEMENT: Readonly<Record<NumericDType, number>> = {
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
  bfloat16: 2,
  float8e4m3fn: 1,
  float8e4m3fnuz: 1,
  float8e5m2: 1,
  float8e5m2fnuz: 1,
  uint4: 1,
  int4: 1,
  float4e2m1: 1,
  float8e8m0: 1,
};

const FLOATS: ReadonlySet<DType> = new Set<DType>([
  'float16',
  'float32',
  'float64',
  'bfloat16',
  'float8e4m3fn',
  'float8e4m3fnuz',
  'float8e5m2',
  'float8e5m2fnuz',
  'float4e2m1',
  'float8e8m0',
]);

export function isFloat(dtype: DType): boolean {
  return FLOATS.has(dtype);
}

/** Whether two elements share a byte. */
export function isPacked(dtype: DType): boolean {
  return dtype === 'int4' || dtype === 'uint4' || dtype === 'float4e2m1';
}

/** Entries of the array that holds `size` elements. */
export function storedLength(dtype: DType, size: number): number {
  return isPacked(dtype) ? Math.ceil(size / 2) : size;
}

/** Number of elements of a shape; a scalar (`[]`) has one. */
export function sizeOf(dims: readonly number[]): number {
  let size = 1;
  for (const dim of dims) size *= dim;
  return size;
}
