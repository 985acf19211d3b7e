/**
 * Content addresses: SHA-256 of bytes, and of values by their canonical JSON (RFC 8785), so equal content has
 * an equal name whatever the order in which its keys were written.
 */
import { AppError } from './errors';

/** SHA-256 in lower-case hex. Needs a secure context, as `crypto.subtle` does. */
export async function sha256Hex(bytes: ArrayBuffer | ArrayBufferView): Promise<string> {
  const digest = await crypto.subtle.digest('SHA-256', plainBuffer(bytes));
  let hex = '';
  for (const byte of new Uint8Array(digest)) hex += byte.toString(16).padStart(2, '0');
  return hex;
}

/** `crypto.subtle` refuses views on shared memory (threaded WASM): those are copied, others are not. */
function plainBuffer(bytes: ArrayBuffer | ArrayBufferView): BufferSource {
  if (bytes instanceof ArrayBuffer) return bytes;
  const { buffer, byteOffset, byteLength } = bytes;
  if (buffer instanceof ArrayBuffer) return new Uint8Array(buffer, byteOffset, byteLength);
  return new Uint8Array(buffer, byteOffset, byteLength).slice();
}

/**
 * RFC 8785 canonical JSON. Keys are sorted by UTF-16 code units; numbers and strings are written as
 * ECMAScript does, which is what the standard prescribes. What JSON cannot say is an error, not a `null`.
 */
export function canonicalJson(value: unknown): string {
  return write(value, '$');
}

export async function hashJson(value: unknown): Promise<string> {
  return sha256Hex(new TextEncoder().encode(canonicalJson(value)));
}

function write(value: unknown, path: string): string {
  switch (typeof value) {
    case 'boolean':
      return String(value);
    case 'number':
      if (!Number.isFinite(value)) throw refusal(path, String(value));
      return JSON.stringify(value);
    case 'string':
      if (/\p{Surrogate}/u.test(value)) throw refusal(path, 'a string with a lone surrogate');
      return JSON.stringify(value);
    case 'object':
      return value === null ? 'null' : writeObject(value, path);
    default:
      throw refusal(path, typeof value);
  }
}

function writeObject(value: object, path: string): string {
  if (Array.isArray(value)) {
    return `[${value.map((item: unknown, index) => write(item, `${path}[${index}]`)).join(',')}]`;
  }
  const prototype: unknown = Object.getPrototypeOf(value);
  if (prototype !== Object.prototype && prototype !== null) {
    throw refusal(path, `a ${value.constructor.name}`);
  }
  const entries = Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1));
  const members = entries.map(
    ([key, item]) => `${write(key, path)}:${write(item, `${path}.${key}`)}`,
  );
  return `{${members.join(',')}}`;
}

function refusal(path: string, what: string): AppError {
  return new AppError(
    'hash/not-json',
    `${path} is ${what}, which JSON cannot hold. Leave the key out or give it a value.`,
    { path },
  );
}
