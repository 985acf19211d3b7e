/**
 * Numbers to and from the element types that JavaScript has no arrays for. Rounding is to nearest, ties to even
 * (IEEE 754 for float16; bfloat16 and float8 after ONNX's technical notes "Float stored in 8 bits" and
 * "4 bit floats"). What is too large becomes infinite in the 16-bit types and the largest number in the
 * smaller ones, as Cast with `saturate = 1` says.
 */
import { isPacked, sizeOf, storedLength } from './dtype';
import type { DType, NumericArray, NumericDType } from './dtype';

interface Format {
  readonly width: number;
  readonly mantissa: number;
  readonly bias: number;
  /** Code of the largest finite number. */
  readonly largest: number;
  /** Code (without sign) of infinity, where there is one. */
  readonly infinity?: number;
  /** Code of the NaN that is written, where there is one. */
  readonly nan?: number;
  /** `fnuz` types have no -0: its code is their only NaN. */
  readonly unsignedZero?: true;
}

const FORMATS = {
  float16: { width: 16, mantissa: 10, bias: 15, largest: 0x7bff, infinity: 0x7c00, nan: 0x7e00 },
  bfloat16: { width: 16, mantissa: 7, bias: 127, largest: 0x7f7f, infinity: 0x7f80, nan: 0x7fc0 },
  float8e4m3fn: { width: 8, mantissa: 3, bias: 7, largest: 0x7e, nan: 0x7f },
  float8e4m3fnuz: {
    width: 8,
    mantissa: 3,
    bias: 8,
    largest: 0x7f,
    nan: 0x80,
    unsignedZero: true,
  },
  float8e5m2: { width: 8, mantissa: 2, bias: 15, largest: 0x7b, infinity: 0x7c, nan: 0x7f },
  float8e5m2fnuz: {
    width: 8,
    mantissa: 2,
    bias: 16,
    largest: 0x7f,
    nan: 0x80,
    unsignedZero: true,
  },
  float4e2m1: { width: 4, mantissa: 1, bias: 1, largest: 0x7 },
} as const satisfies Partial<Record<DType, Format>>;

type SmallFloat = keyof typeof FORMATS;

function formatOf(dtype: DType): Format | undefined {
  return dtype in FORMATS ? FORMATS[dtype as SmallFloat] : undefined;
}

const scratch = new DataView(new ArrayBuffer(8));

/** floor(log2(value)) of a positive finite number; -1023 for those below the normal ones. */
function exponentOf(value: number): number {
  scratch.setFloat64(0, value);
  return ((scratch.getUint32(0) >>> 20) & 0x7ff) - 1023;
}

function roundEven(value: number): number {
  const floor = Math.floor(value);
  const rest = value - floor;
  if (rest !== 0.5) return rest < 0.5 ? floor : floor + 1;
  return floor % 2 === 0 ? floor : floor + 1;
}

function encode(value: number, format: Format, saturate: boolean): number {
  const { width, mantissa, bias, largest } = format;
  const sign = value < 0 || Object.is(value, -0) ? 1 << (width - 1) : 0;
  if (Number.isNaN(value)) return format.nan ?? 0;
  const size = Math.abs(value);
  let code = largest + 1;
  if (size !== Infinity) {
    // The code counts in steps of the last place, and goes on counting across powers of two.
    const exponent = Math.max(exponentOf(size), 1 - bias);
    const steps = roundEven(size / 2 ** (exponent - mantissa));
    code = (exponent + bias - 1) * 2 ** mantissa + steps;
  }
  if (code > largest) {
    const small = width === 8 || width === 4;
    if (small && saturate) code = largest;
    else if (format.infinity !== undefined) code = format.infinity;
    else if (format.nan === undefined) code = largest;
    else return format.unsignedZero ? format.nan : sign | format.nan;
  }
  return code === 0 && format.unsignedZero ? 0 : sign | code;
}

function decode(bits: number, format: Format): number {
  const { width, mantissa, bias, largest } = format;
  const signBit = 1 << (width - 1);
  if (format.unsignedZero && bits === signBit) return NaN;
  const code = bits & (signBit - 1);
  const sign = bits & signBit ? -1 : 1;
  if (code > largest) return code === format.infinity ? sign * Infinity : NaN;
  const exponent = code >> mantissa;
  const fraction = (code & ((1 << mantissa) - 1)) / 2 ** mantissa;
  return exponent === 0
    ? sign * fraction * 2 ** (1 - bias)
    : sign * (1 + fraction) * 2 ** (exponent - bias);
}

/** float8e8m0: powers of two from 2^-127 on, without sign; 255 is NaN. Scales, so they round up to nearest. */
function encodeScale(value: number): number {
  if (Number.isNaN(value) || value < 0) return 255;
  if (value === Infinity) return 254;
  const exponent = exponentOf(value);
  const up = value >= 1.5 * 2 ** exponent ? 1 : 0;
  return Math.min(254, Math.max(0, exponent + up + 127));
}

export function halfToNumber(bits: number): number {
  return decode(bits, FORMATS.float16);
}

export function numberToHalf(value: number): number {
  return encode(value, FORMATS.float16, true);
}

/** All values of the one-byte and half-byte types, made once. */
const tables = new Map<DType, Float64Array>();

function tableOf(dtype: DType): Float64Array | undefined {
  const known = tables.get(dtype);
  if (known) return known;
  const format = formatOf(dtype);
  let table: Float64Array | undefined;
  if (dtype === 'float8e8m0') {
    table = Float64Array.from({ length: 256 }, (_, bits) =>
      bits === 255 ? NaN : 2 ** (bits - 127),
    );
  } else if (dtype === 'int4') {
    table = Float64Array.from({ length: 16 }, (_, bits) => (bits ^ 8) - 8);
  } else if (dtype === 'uint4') {
    table = Float64Array.from({ length: 16 }, (_, bits) => bits);
  } else if (format) {
    table = Float64Array.from({ length: 1 << format.width }, (_, bits) => decode(bits, format));
  }
  if (table) tables.set(dtype, table);
  return table;
}

/** The numbers of an array of `dtype`. 64-bit integers beyond 2^53 are rounded. */
export function decodeNumbers(
  dtype: NumericDType,
  data: NumericArray,
  dims: readonly number[],
): Float64Array {
  if (data instanceof BigInt64Array || data instanceof BigUint64Array) {
    const numbers = new Float64Array(data.length);
    for (let i = 0; i < data.length; i++) numbers[i] = Number(data[i]);
    return numbers;
  }
  const table = tableOf(dtype);
  if (!table) return Float64Array.from(data);
  const numbers = new Float64Array(sizeOf(dims));
  if (isPacked(dtype)) {
    for (let i = 0; i < numbers.length; i++) {
      const byte = data[i >> 1] as number;
      numbers[i] = table[i % 2 === 0 ? byte & 15 : byte >> 4] as number;
    }
  } else {
    for (let i = 0; i < numbers.length; i++) numbers[i] = table[data[i] as number] as number;
  }
  return numbers;
}

const I64_MAX = 2n ** 63n - 1n;

/** Wraps like the C cast that runtimes do; only what no 64-bit integer can be (NaN, infinities) is chosen here. */
function toBigInt(value: number, signed: boolean): bigint {
  if (Number.isNaN(value)) return 0n;
  if (signed) {
    if (value >= 2 ** 63) return I64_MAX;
    if (value <= -(2 ** 63)) return -(2n ** 63n);
  } else if (value >= 2 ** 64) return 2n ** 64n - 1n;
  else if (value === -Infinity) return 0n;
  return BigInt(Math.trunc(value));
}

/** An array of `dtype` with these numbers. Fractions are cut for integers, which wrap; `bool` is "not zero". */
export function encodeNumbers(
  dtype: NumericDType,
  values: ArrayLike<number>,
  saturate = true,
): NumericArray {
  switch (dtype) {
    case 'float32':
      return Float32Array.from(values);
    case 'float64':
      return Float64Array.from(values);
    case 'int64':
      return BigInt64Array.from(Array.from(values, (value) => toBigInt(value, true)));
    case 'uint64':
      return BigUint64Array.from(Array.from(values, (value) => toBigInt(value, false)));
    case 'int32':
      return Int32Array.from(values);
    case 'uint32':
      return Uint32Array.from(values);
    case 'int16':
      return Int16Array.from(values);
    case 'uint16':
      return Uint16Array.from(values);
    case 'int8':
      return Int8Array.from(values);
    case 'uint8':
      return Uint8Array.from(values);
    case 'bool':
      return Uint8Array.from(values, (value) => (value === 0 ? 0 : 1));
    case 'float8e8m0':
      return Uint8Array.from(values, encodeScale);
    case 'int4':
    case 'uint4':
      return pack(values, (value) => value & 15);
    case 'float4e2m1':
      return pack(values, (value) => encode(value, FORMATS.float4e2m1, true));
    case 'float16':
    case 'bfloat16':
      return Uint16Array.from(values, (value) => encode(value, FORMATS[dtype], saturate));
    default:
      return Uint8Array.from(values, (value) => encode(value, FORMATS[dtype], saturate));
  }
}

function pack(values: ArrayLike<number>, code: (value: number) => number): Uint8Array {
  const bytes = new Uint8Array(storedLength('int4', values.length));
  for (let i = 0; i < values.length; i++) {
    bytes[i >> 1] =
      (bytes[i >> 1] as number) | (code(values[i] as number) << (i % 2 === 0 ? 0 : 4));
  }
  return bytes;
}

/** What remains of numbers that pass through `dtype`: rounded, cut and wrapped as the type does it. */
export function throughType(
  dtype: NumericDType,
  values: Float64Array,
  saturate = true,
): Float64Array {
  if (dtype === 'float64') return values;
  return decodeNumbers(dtype, encodeNumbers(dtype, values, saturate), [values.length]);
}
