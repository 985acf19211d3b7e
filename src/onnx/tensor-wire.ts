/**
 * TensorProto both ways. Reading returns views on the file's bytes where the alignment allows; the length of
 * the data is checked against the shape before anything is allocated. Hosts are little-endian, as ONNX is.
 */
import { BYTES_PER_ELEMENT, DTYPE_CODE, sizeOf, storedLength } from '../core/dtype';
import type { NumericDType, TensorArray } from '../core/dtype';
import { AppError, invariant } from '../core/errors';
import type { Tensor } from './graph';
import { dtypeOf, TENSOR } from './schema';
import { WIRE, WireWriter } from './wire';
import type { WireReader } from './wire';

/** Which typed field holds a dtype's elements when they are not raw, and how that field is coded. */
const TYPED_FIELD: Readonly<Record<NumericDType, readonly [field: number, element: 0 | 1 | 5]>> = {
  float32: [TENSOR.floatData, WIRE.fixed32],
  uint8: [TENSOR.int32Data, WIRE.varint],
  int8: [TENSOR.int32Data, WIRE.varint],
  uint16: [TENSOR.int32Data, WIRE.varint],
  int16: [TENSOR.int32Data, WIRE.varint],
  int32: [TENSOR.int32Data, WIRE.varint],
  int64: [TENSOR.int64Data, WIRE.varint],
  bool: [TENSOR.int32Data, WIRE.varint],
  float16: [TENSOR.int32Data, WIRE.varint],
  float64: [TENSOR.doubleData, WIRE.fixed64],
  uint32: [TENSOR.uint64Data, WIRE.varint],
  uint64: [TENSOR.uint64Data, WIRE.varint],
  bfloat16: [TENSOR.int32Data, WIRE.varint],
  float8e4m3fn: [TENSOR.int32Data, WIRE.varint],
  float8e4m3fnuz: [TENSOR.int32Data, WIRE.varint],
  float8e5m2: [TENSOR.int32Data, WIRE.varint],
  float8e5m2fnuz: [TENSOR.int32Data, WIRE.varint],
  // Two to an entry, as in raw data.
  uint4: [TENSOR.int32Data, WIRE.varint],
  int4: [TENSOR.int32Data, WIRE.varint],
  float4e2m1: [TENSOR.int32Data, WIRE.varint],
  float8e8m0: [TENSOR.int32Data, WIRE.varint],
};

interface Parts {
  name: string;
  code: number;
  readonly dims: number[];
  raw: Uint8Array | undefined;
  readonly strings: string[];
  /** Number of elements in each typed field that is present. */
  readonly counts: Map<number, number>;
}

function collect(reader: WireReader): Parts {
  const parts: Parts = {
    name: '',
    code: 0,
    dims: [],
    raw: undefined,
    strings: [],
    counts: new Map(),
  };
  const count = (element: 0 | 1 | 5): void => {
    const { field } = reader;
    parts.counts.set(field, (parts.counts.get(field) ?? 0) + reader.countScalars(element));
  };
  while (reader.next()) {
    switch (reader.field) {
      case TENSOR.dims:
        reader.ints(parts.dims);
        break;
      case TENSOR.dataType:
        parts.code = reader.int();
        break;
      case TENSOR.name:
        parts.name = reader.string();
        break;
      case TENSOR.rawData:
        parts.raw = reader.payload();
        break;
      case TENSOR.stringData:
        parts.strings.push(reader.string());
        break;
      case TENSOR.floatData:
        count(WIRE.fixed32);
        break;
      case TENSOR.doubleData:
        count(WIRE.fixed64);
        break;
      case TENSOR.int32Data:
      case TENSOR.int64Data:
      case TENSOR.uint64Data:
        count(WIRE.varint);
        break;
      case TENSOR.externalData:
        throw external(reader.what);
      case TENSOR.dataLocation:
        if (reader.int() !== 0) throw external(reader.what);
        break;
      case TENSOR.segment:
        throw unsupported(reader.what, 'is stored in segments');
      default:
        reader.skip();
    }
  }
  return parts;
}

export function readTensor(reader: WireReader): { readonly name: string; readonly tensor: Tensor } {
  const parts = collect(reader.again());
  const { name, dims } = parts;
  const what = name === '' ? reader.what : `${reader.what} "${name}"`;
  const dtype = dtypeOf(parts.code);
  if (dtype === undefined) {
    throw new AppError(
      'onnx/dtype',
      `${sentence(what)} has element type ${parts.code}, which this studio does not read. Export the model in float32.`,
      { name, code: parts.code },
    );
  }
  const size = checkedSize(dims, what);
  if (dtype === 'string') {
    if (parts.strings.length !== size) throw wrongSize(what, dims, size, parts.strings.length);
    return { name, tensor: { dtype, dims, data: parts.strings } };
  }
  const stored = storedLength(dtype, size);
  if (parts.raw !== undefined) {
    const expected = stored * BYTES_PER_ELEMENT[dtype];
    if (parts.raw.length !== expected) {
      throw wrongSize(what, dims, expected, parts.raw.length, 'bytes');
    }
    return { name, tensor: { dtype, dims, data: viewOf(dtype, parts.raw) } };
  }
  const [field] = TYPED_FIELD[dtype];
  const found = parts.counts.get(field) ?? 0;
  if (found !== stored) throw wrongSize(what, dims, stored, found);
  return { name, tensor: { dtype, dims, data: readTyped(reader.again(), dtype, stored) } };
}

/** Elements of a shape; refuses what is negative, absurdly deep or beyond 2^53. */
function checkedSize(dims: readonly number[], what: string): number {
  const size = sizeOf(dims);
  if (dims.length > 64 || dims.some((dim) => dim < 0) || !Number.isSafeInteger(size)) {
    const shown = dims.length > 64 ? `of ${dims.length} axes` : `[${dims.join(', ')}]`;
    throw new AppError('onnx/dims', `${sentence(what)} has the impossible shape ${shown}.`, {
      where: what,
      dims: dims.slice(0, 64),
    });
  }
  return size;
}

function readTyped(reader: WireReader, dtype: NumericDType, size: number): TensorArray {
  const [field, element] = TYPED_FIELD[dtype];
  const wide = dtype === 'int64' || dtype === 'uint64' || dtype === 'float64';
  // Elements land as little-endian words, which are then seen through the right array: no rounding.
  const words = new Uint32Array(wide ? size * 2 : size);
  let at = 0;
  while (reader.next()) {
    if (reader.field !== field) {
      reader.skip();
      continue;
    }
    reader.eachScalar(element, (low, high) => {
      words[at++] = low;
      if (wide) words[at++] = high;
    });
  }
  if (BYTES_PER_ELEMENT[dtype] === 1) {
    return viewOf(dtype, Uint8Array.from(words));
  }
  if (BYTES_PER_ELEMENT[dtype] === 2) {
    const halves = Uint16Array.from(words);
    return viewOf(dtype, new Uint8Array(halves.buffer));
  }
  return viewOf(dtype, new Uint8Array(words.buffer));
}

/** Sees bytes as elements of `dtype`: without copying where the address is a multiple of the element size. */
export function viewOf(dtype: NumericDType, bytes: Uint8Array): TensorArray {
  const width = BYTES_PER_ELEMENT[dtype];
  const aligned = bytes.byteOffset % width === 0 ? bytes : bytes.slice();
  const { buffer, byteOffset } = aligned;
  const length = aligned.byteLength / width;
  switch (dtype) {
    case 'float32':
      return new Float32Array(buffer, byteOffset, length);
    case 'int8':
      return new Int8Array(buffer, byteOffset, length);
    case 'uint16':
    case 'float16':
    case 'bfloat16':
      return new Uint16Array(buffer, byteOffset, length);
    case 'int16':
      return new Int16Array(buffer, byteOffset, length);
    case 'int32':
      return new Int32Array(buffer, byteOffset, length);
    case 'int64':
      return new BigInt64Array(buffer, byteOffset, length);
    case 'float64':
      return new Float64Array(buffer, byteOffset, length);
    case 'uint32':
      return new Uint32Array(buffer, byteOffset, length);
    case 'uint64':
      return new BigUint64Array(buffer, byteOffset, length);
    default:
      return new Uint8Array(buffer, byteOffset, length);
  }
}

/** The little-endian bytes of a numeric tensor, as a view. */
export function bytesOf(tensor: Tensor): Uint8Array {
  const { data } = tensor;
  invariant(!Array.isArray(data), 'A string tensor has no raw bytes.');
  return new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
}

export function writeTensor(tensor: Tensor, name: string): WireWriter {
  const writer = new WireWriter()
    .ints(TENSOR.dims, tensor.dims)
    .int(TENSOR.dataType, DTYPE_CODE[tensor.dtype])
    .optionalString(TENSOR.name, name);
  if (Array.isArray(tensor.data)) {
    for (const text of tensor.data) writer.string(TENSOR.stringData, text);
  } else {
    writer.bytes(TENSOR.rawData, bytesOf(tensor));
  }
  return writer;
}

function wrongSize(
  what: string,
  dims: readonly number[],
  expected: number,
  found: number,
  unit = 'elements',
): AppError {
  return new AppError(
    'onnx/tensor-size',
    `${sentence(what)} of shape [${dims.join(', ')}] needs ${expected} ${unit}, but the file has ${found}.`,
    { where: what, expected, found },
  );
}

function external(what: string): AppError {
  return new AppError(
    'onnx/external-data',
    `${sentence(what)} keeps its numbers in a separate file. Export the model again with everything in one file.`,
    { where: what },
  );
}

export function unsupported(what: string, why: string): AppError {
  return new AppError(
    'onnx/unsupported',
    `${sentence(what)} ${why}, which this studio does not read.`,
    {
      where: what,
    },
  );
}

/** `graph input "x"` at the start of a sentence. */
export function sentence(what: string): string {
  return what.charAt(0).toUpperCase() + what.slice(1);
}
