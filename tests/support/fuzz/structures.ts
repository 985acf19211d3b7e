/**
 * Damage that knows the format: what is changed is one number, text or part, and the lengths around it are made right
 * again, so that the file goes deep into its parser before anything is wrong.
 */
import type { PhiloxStream } from '../../../src/core/philox';

export function one<T>(from: readonly T[], stream: PhiloxStream): T | undefined {
  return from.length === 0 ? undefined : from[stream.below(from.length)];
}

// ---- protocol buffers ----

interface Field {
  tag: number;
  /** Of wire type 0. */
  value?: bigint;
  /** Of all others. */
  bytes?: Uint8Array;
  parts?: Field[];
}

/** Null where the bytes are no message. */
function parsed(bytes: Uint8Array, depth: number): Field[] | null {
  const fields: Field[] = [];
  let at = 0;
  const varint = (): bigint | null => {
    let value = 0n;
    for (let size = 0; size < 10 && at < bytes.length; size++) {
      const byte = bytes[at++] ?? 0;
      value |= BigInt(byte & 0x7f) << BigInt(7 * size);
      if (byte < 0x80) return value;
    }
    return null;
  };
  while (at < bytes.length) {
    const tag = varint();
    if (tag === null || tag < 8n || tag > 800n) return null;
    const wire = Number(tag & 7n);
    if (wire === 0) {
      const value = varint();
      if (value === null) return null;
      fields.push({ tag: Number(tag), value });
      continue;
    }
    const length = wire === 2 ? Number(varint() ?? -1n) : wire === 5 ? 4 : wire === 1 ? 8 : -1;
    if (length < 0 || at + length > bytes.length) return null;
    const payload = bytes.subarray(at, at + length);
    at += length;
    const parts = wire === 2 && length > 0 && depth < 12 ? parsed(payload, depth + 1) : null;
    fields.push({ tag: Number(tag), bytes: payload, ...(parts ? { parts } : {}) });
  }
  return fields;
}

function written(fields: readonly Field[]): Uint8Array<ArrayBuffer> {
  const out: Uint8Array[] = [];
  for (const { tag, value, bytes, parts } of fields) {
    out.push(encoded(BigInt(tag)));
    if (value !== undefined) out.push(encoded(value));
    const payload = parts ? written(parts) : bytes;
    if (payload === undefined) continue;
    if (tag % 8 === 2) out.push(encoded(BigInt(payload.length)));
    out.push(payload);
  }
  return joined(...out);
}

const NUMBERS = [
  0n,
  1n,
  2n,
  3n,
  63n,
  2n ** 31n - 1n,
  2n ** 32n,
  2n ** 53n + 1n,
  2n ** 63n,
  2n ** 64n - 1n,
];
const TEXTS = ['', 'x', '__proto__', 'constructor', '../../etc/passwd', '\0', 'If', 'Loop', 'é'];

export function protobufDamaged(bytes: Uint8Array, stream: PhiloxStream): Uint8Array<ArrayBuffer> {
  const top = parsed(bytes, 0);
  if (top === null) return new Uint8Array(bytes);
  const lists: Field[][] = [];
  const collect = (fields: Field[]): void => {
    if (fields.length > 0) lists.push(fields);
    for (const { parts } of fields) if (parts) collect(parts);
  };
  collect(top);
  const list = one(lists, stream) ?? top;
  const at = stream.below(Math.max(1, list.length));
  const field = list[at];
  if (field === undefined) return new Uint8Array(bytes);
  const other = one(one(lists, stream) ?? list, stream) ?? field;
  switch (stream.below(9)) {
    case 0:
      list.splice(at, 1);
      break;
    case 1:
      list.splice(at, 0, structuredClone(field));
      break;
    case 2:
      list[at] = structuredClone(other);
      break;
    case 3:
      // The same part under another number.
      field.tag = (1 + stream.below(30)) * 8 + (field.tag % 8);
      break;
    case 4:
      list.splice(stream.below(list.length), 0, ...list.splice(at, 1));
      break;
    case 5:
      // A message within itself.
      if (field.parts) field.parts.push(structuredClone(field));
      break;
    default:
      if (field.value !== undefined) {
        const near = field.value + (stream.below(2) === 0 ? 1n : -1n);
        field.value = BigInt.asUintN(
          64,
          stream.below(3) === 0 ? near : (one(NUMBERS, stream) ?? 0n),
        );
      } else if (field.bytes && stream.below(2) === 0 && !field.parts) {
        field.bytes = new TextEncoder().encode(one(TEXTS, stream));
      } else if (field.bytes && !field.parts) {
        const cut = stream.below(field.bytes.length + 1);
        field.bytes =
          stream.below(2) === 0 ? field.bytes.subarray(0, cut) : joined(field.bytes, field.bytes);
      } else list.splice(at, 1);
  }
  return written(top);
}

export function encoded(value: bigint): Uint8Array {
  const out: number[] = [];
  for (let rest = value; ; rest >>= 7n) {
    if (rest < 0x80n) {
      out.push(Number(rest));
      return Uint8Array.from(out);
    }
    out.push(Number(rest & 0x7fn) + 0x80);
  }
}

// ---- JSON ----

/** What no program of good will would put in place of a value, as text: some of it nests too deep to be written. */
const ODD: readonly string[] = [
  ...['null', 'true', '-1', '0', '0.5', '1e308', '1e999', '9007199254740993', '4294967296'],
  ...['""', '[]', '{}', '[[]]', '[null]', '"\\u0000"', '"\\ud800"', '"__proto__"', '"NaN"'],
  '{"toString":1,"valueOf":1}',
  '{"__proto__":{"polluted":true},"constructor":{"prototype":{"polluted":true}}}',
  `${'['.repeat(20_000)}${']'.repeat(20_000)}`,
  `${'{"a":'.repeat(5_000)}1${'}'.repeat(5_000)}`,
  JSON.stringify('x'.repeat(3000)),
];
const KEYS = ['__proto__', 'constructor', 'toString', 'length', 'name', ''];
const PLACE = '@@odd@@';

interface Place {
  readonly within: Record<string, unknown>;
  readonly key: string;
}

export function jsonDamaged(text: string, stream: PhiloxStream): string {
  try {
    return changed(JSON.parse(text), stream);
  } catch {
    // No JSON since an earlier damage, or nested too deep to be walked through.
    return text + (one(ODD, stream) ?? '');
  }
}

function changed(value: unknown, stream: PhiloxStream): string {
  const places: Place[] = [];
  const collect = (within: unknown, depth: number): void => {
    if (typeof within !== 'object' || within === null || depth > 40) return;
    for (const [key, inner] of Object.entries(within)) {
      places.push({ within: within as Record<string, unknown>, key });
      collect(inner, depth + 1);
    }
  };
  collect(value, 0);
  const place = one(places, stream);
  if (place === undefined) return one(ODD, stream) ?? 'null';
  const { within, key } = place;
  const now = within[key];
  const other = one(places, stream) ?? place;
  let odd = one(ODD, stream) ?? 'null';
  switch (stream.below(8)) {
    case 0:
      if (Array.isArray(within)) within.splice(Number(key), 1);
      else Reflect.deleteProperty(within, key);
      break;
    case 1:
      if (Array.isArray(within)) within.splice(Number(key), 0, now, now);
      else within[one(KEYS, stream) ?? 'name'] = now;
      break;
    case 2:
      set(within, key, structuredClone(other.within[other.key]));
      break;
    case 3:
      if (typeof now === 'number') set(within, key, now + (stream.below(2) === 0 ? 1 : -1));
      else if (Array.isArray(now)) now.reverse();
      break;
    case 4:
      // A file may hold JSON as text within its JSON.
      if (typeof now === 'string' && now.startsWith('{'))
        set(within, key, jsonDamaged(now, stream));
      else set(within, key, [now]);
      break;
    default:
      set(within, key, PLACE);
  }
  if (stream.below(6) === 0) odd = String(stream.below(100_000));
  return JSON.stringify(value).replace(`"${PLACE}"`, () => odd);
}

/** An own property, whatever it is called. */
function set(within: object, key: string, value: unknown): void {
  Object.defineProperty(within, key, {
    value,
    enumerable: true,
    configurable: true,
    writable: true,
  });
}

/** The header of a safetensors file, with its length made right. */
export function safetensorsDamaged(
  bytes: Uint8Array,
  stream: PhiloxStream,
): Uint8Array<ArrayBuffer> {
  if (bytes.length < 8) return new Uint8Array(bytes);
  const length = new DataView(bytes.buffer, bytes.byteOffset).getUint32(0, true);
  if (8 + length > bytes.length) return new Uint8Array(bytes);
  const text = new TextDecoder().decode(bytes.subarray(8, 8 + length));
  const header = new TextEncoder().encode(jsonDamaged(text, stream));
  const prefix = new Uint8Array(8);
  new DataView(prefix.buffer).setUint32(0, header.length, true);
  return joined(prefix, header, bytes.subarray(8 + length));
}

export function joined(...parts: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  const out = new Uint8Array(parts.reduce((all, part) => all + part.length, 0));
  let at = 0;
  for (const part of parts) {
    out.set(part, at);
    at += part.length;
  }
  return out;
}
