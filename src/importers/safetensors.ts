/**
 * safetensors: named arrays behind a JSON header, nothing that runs. Layout and limits after the format's own
 * description (github.com/huggingface/safetensors): 8 bytes little-endian header length, the header, the data.
 * Arrays are views on the file's bytes where their address allows.
 */
import { BYTES_PER_ELEMENT, sizeOf } from '../core/dtype';
import type { NumericDType } from '../core/dtype';
import { AppError } from '../core/errors';
import { shownValue } from '../core/shown';
import type { Tensor } from '../onnx/graph';
import { bytesOf, viewOf } from '../onnx/tensor-wire';

export interface Safetensors {
  readonly tensors: ReadonlyMap<string, Tensor>;
  readonly metadata: ReadonlyMap<string, string>;
}

/** The format allows 100 MB; the largest language models need less than one, and JSON takes ten times as much in memory. */
const HEADER_LIMIT = 16 * 2 ** 20;
const MOST_TENSORS = 100_000;
const PREFIX = 8;

const DTYPE_OF: ReadonlyMap<string, NumericDType> = new Map([
  ['F64', 'float64'],
  ['F32', 'float32'],
  ['F16', 'float16'],
  ['BF16', 'bfloat16'],
  ['I64', 'int64'],
  ['I32', 'int32'],
  ['I16', 'int16'],
  ['I8', 'int8'],
  ['U64', 'uint64'],
  ['U32', 'uint32'],
  ['U16', 'uint16'],
  ['U8', 'uint8'],
  ['BOOL', 'bool'],
  ['F8_E4M3', 'float8e4m3fn'],
  ['F8_E5M2', 'float8e5m2'],
]);
const NAME_OF = new Map([...DTYPE_OF].map(([name, dtype]) => [dtype, name]));

interface Entry {
  readonly dtype: NumericDType;
  readonly dims: readonly number[];
  readonly begin: number;
  readonly end: number;
}

/** @throws AppError `import/safetensors` saying which tensor and what is wrong with it */
export function readSafetensors(file: Uint8Array): Safetensors {
  const header = readHeader(file);
  const tensors = new Map<string, Tensor>();
  const metadata = new Map<string, string>();
  const entries: (Entry & { readonly name: string })[] = [];
  const start = PREFIX + header.length;
  for (const [name, value] of Object.entries(header.json)) {
    if (name === '__metadata__') {
      if (!isRecord(value)) throw broken('its __metadata__ is not an object');
      for (const [key, text] of Object.entries(value)) {
        if (typeof text !== 'string') throw broken(`its metadata "${shownValue(key)}" is not text`);
        metadata.set(key, text);
      }
    } else {
      entries.push({ name, ...readEntry(name, value, file.length - start) });
    }
  }
  if (entries.length > MOST_TENSORS) throw broken(`it names ${entries.length} tensors`);
  entries.sort((a, b) => a.begin - b.begin || a.end - b.end);
  let covered = 0;
  for (const { name, begin, end, dtype, dims } of entries) {
    // The format has neither holes nor overlaps: either would hide something, or be the same bytes twice.
    if (begin !== covered)
      throw broken(`tensor "${shownValue(name)}" begins at ${begin} instead of ${covered}`);
    covered = end;
    const data = viewOf(dtype, file.subarray(start + begin, start + end));
    tensors.set(name, { dtype, dims, data });
  }
  if (start + covered !== file.length) {
    throw broken(`${file.length - start - covered} bytes at its end belong to no tensor`);
  }
  return { tensors, metadata };
}

function readHeader(file: Uint8Array): { length: number; json: Record<string, unknown> } {
  if (file.length < PREFIX) throw broken(`it has only ${file.length} bytes`);
  const view = new DataView(file.buffer, file.byteOffset, file.byteLength);
  const length = Number(view.getBigUint64(0, true));
  if (PREFIX + length > file.length) {
    throw broken(`its header claims ${length} bytes and the file has ${file.length}`);
  }
  if (length > HEADER_LIMIT) {
    throw broken(`its header has ${length} bytes; at most ${HEADER_LIMIT} are read`);
  }
  let json: unknown;
  try {
    const bytes = file.subarray(PREFIX, PREFIX + length);
    json = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
  } catch (error) {
    throw broken('its header is not JSON', error);
  }
  if (!isRecord(json)) throw broken('its header is not an object');
  return { length, json };
}

function readEntry(name: string, value: unknown, available: number): Entry {
  if (!isRecord(value)) throw broken(`the entry of "${shownValue(name)}" is not an object`);
  const dtype = DTYPE_OF.get(shownValue(value['dtype']));
  if (dtype === undefined) {
    throw broken(
      `tensor "${shownValue(name)}" has the type ${shownValue(value['dtype'])}, which is not known`,
    );
  }
  const { shape: dims, data_offsets: offsets } = value;
  if (!isCounts(dims)) throw broken(`tensor "${shownValue(name)}" has no proper shape`);
  if (!isCounts(offsets) || offsets.length !== 2) {
    throw broken(`tensor "${shownValue(name)}" has no proper offsets`);
  }
  const [begin = 0, end = 0] = offsets;
  const expected = sizeOf(dims) * BYTES_PER_ELEMENT[dtype];
  if (begin > end || end > available || end - begin !== expected) {
    throw broken(
      `tensor "${shownValue(name)}" of shape [${dims.join(', ')}] needs ${expected} bytes, and its offsets are ${begin} to ${end} of ${available}`,
    );
  }
  return { dtype, dims, begin, end };
}

/** Tensors in the order given; header padded so that the data begins at a multiple of 8. */
export function writeSafetensors({ tensors, metadata }: Safetensors): Uint8Array<ArrayBuffer> {
  const header: Record<string, unknown> = {};
  if (metadata.size > 0) header['__metadata__'] = Object.fromEntries(metadata);
  let at = 0;
  // Wide elements first, so that every array stays aligned.
  const ordered = [...tensors].sort(([, a], [, b]) => widthOf(b) - widthOf(a));
  for (const [name, tensor] of ordered) {
    const dtype = tensor.dtype === 'string' ? undefined : NAME_OF.get(tensor.dtype);
    if (dtype === undefined)
      throw broken(`tensor "${shownValue(name)}" is ${tensor.dtype}, which it cannot hold`);
    const { byteLength } = bytesOf(tensor);
    header[name] = { dtype, shape: tensor.dims, data_offsets: [at, at + byteLength] };
    at += byteLength;
  }
  const text = JSON.stringify(header);
  const plain = new TextEncoder().encode(text).length;
  const padded = new TextEncoder().encode(text + ' '.repeat((8 - (plain % 8)) % 8));
  const file = new Uint8Array(PREFIX + padded.length + at);
  new DataView(file.buffer).setBigUint64(0, BigInt(padded.length), true);
  file.set(padded, PREFIX);
  let offset = PREFIX + padded.length;
  for (const [, tensor] of ordered) {
    const bytes = bytesOf(tensor);
    file.set(bytes, offset);
    offset += bytes.length;
  }
  return file;
}

function widthOf({ dtype }: Tensor): number {
  return dtype === 'string' ? 0 : BYTES_PER_ELEMENT[dtype];
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function isCounts(value: unknown): value is number[] {
  return (
    Array.isArray(value) &&
    value.length <= 64 &&
    value.every((item) => Number.isSafeInteger(item) && item >= 0) &&
    Number.isSafeInteger(sizeOf(value as number[]))
  );
}

function broken(what: string, cause?: unknown): AppError {
  return new AppError(
    'import/safetensors',
    `This safetensors file cannot be read: ${what}. Save or download it again.`,
    { problem: what },
    cause,
  );
}
