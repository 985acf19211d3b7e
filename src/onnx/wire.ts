/**
 * Protocol-buffer wire format, only what ONNX needs: bounded cursors over bytes for reading, and a list of
 * parts for writing. Reading never recurses by itself and never allocates what a length claims before it
 * knows that the bytes are there. Groups, which no ONNX file has, are refused.
 */
import { AppError } from '../core/errors';

export const WIRE = { varint: 0, fixed64: 1, length: 2, fixed32: 5 } as const;

/** Strings and messages one file may hold; far above real models, far below what would fill the memory. */
const MAX_PARTS = 500_000;
/** Fields of any kind: what is skipped costs time, too. */
const MAX_FIELDS = 20_000_000;
/** Numbers in lists (attributes, shapes), which take eight times the memory that they take in the file. */
const MAX_LISTED = 20_000_000;
const TWO_32 = 2 ** 32;
/** INT64_MAX means "to the end" in ONNX; as a number it is 2^63, which the writer turns back. */
export const INT64_LIMIT = 2 ** 63;

const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
const encoder = new TextEncoder();

/** What is left for the whole file; shared by all cursors over it. */
export interface WireBudget {
  parts: number;
  fields: number;
  listed: number;
}

/** A cursor over one message. `what` names the message in errors. */
export class WireReader {
  field = 0;
  wire = 0;
  #position: number;
  #low = 0;
  #high = 0;

  constructor(
    readonly bytes: Uint8Array,
    readonly what: string,
    readonly start = 0,
    readonly end = bytes.length,
    private readonly budget: WireBudget = {
      parts: MAX_PARTS,
      fields: MAX_FIELDS,
      listed: MAX_LISTED,
    },
  ) {
    this.#position = start;
  }

  /** A second cursor over the same message, back at its start. */
  again(): WireReader {
    return new WireReader(this.bytes, this.what, this.start, this.end, this.budget);
  }

  /** Reads the next tag into `field` and `wire`; false at the end of the message. */
  next(): boolean {
    if (this.#position >= this.end) return false;
    if (--this.budget.fields < 0) throw tooLarge(`${MAX_FIELDS} fields`, MAX_FIELDS);
    const tag = this.#unsigned();
    this.field = Math.floor(tag / 8);
    this.wire = tag % 8;
    if (this.field === 0 || this.field > 536_870_911) throw this.malformed('a field number of 0');
    return true;
  }

  skip(): void {
    switch (this.wire) {
      case WIRE.varint:
        this.#varint();
        return;
      case WIRE.fixed64:
        this.#take(8);
        return;
      case WIRE.length:
        this.#take(this.#unsigned());
        return;
      case WIRE.fixed32:
        this.#take(4);
        return;
      default:
        throw this.malformed(`wire type ${this.wire}`);
    }
  }

  /** The payload of a length-delimited field, as a view. */
  payload(): Uint8Array {
    this.expect(WIRE.length);
    const length = this.#unsigned();
    const at = this.#take(length);
    return this.bytes.subarray(at, at + length);
  }

  /** The payload of this length-delimited field, without moving past it. */
  peekPayload(): Uint8Array {
    const at = this.#position;
    const payload = this.payload();
    this.#position = at;
    return payload;
  }

  message(what: string): WireReader {
    this.expect(WIRE.length);
    this.#spend();
    const length = this.#unsigned();
    const at = this.#take(length);
    return new WireReader(this.bytes, what, at, at + length, this.budget);
  }

  string(): string {
    const payload = this.payload();
    this.#spend();
    try {
      return decoder.decode(payload);
    } catch (cause) {
      throw this.malformed('text that is not UTF-8', cause);
    }
  }

  float(): number {
    this.expect(WIRE.fixed32);
    return this.#view(4).getFloat32(0, true);
  }

  /** A signed 64-bit integer that a JavaScript number can hold; see INT64_LIMIT for the one exception. */
  int(): number {
    this.expect(WIRE.varint);
    return this.#signed();
  }

  /** Appends the elements of a repeated integer, packed or not. */
  ints(to: number[]): void {
    if (this.wire !== WIRE.length) {
      this.#list();
      to.push(this.int());
      return;
    }
    const inner = this.#inner();
    while (inner.#position < inner.end) {
      this.#list();
      to.push(inner.#signed());
    }
  }

  floats(to: number[]): void {
    if (this.wire !== WIRE.length) {
      this.#list();
      to.push(this.float());
      return;
    }
    const inner = this.#inner();
    while (inner.#position < inner.end) {
      this.#list();
      to.push(inner.#view(4).getFloat32(0, true));
    }
  }

  /** How many elements this repeated scalar field holds, packed or not; moves past it. */
  countScalars(element: 0 | 1 | 5): number {
    if (this.wire !== WIRE.length) {
      this.expect(element);
      this.skip();
      return 1;
    }
    const payload = this.payload();
    if (element !== WIRE.varint) {
      const size = element === WIRE.fixed32 ? 4 : 8;
      if (payload.length % size !== 0)
        throw this.malformed(`${payload.length} bytes of packed numbers`);
      return payload.length / size;
    }
    let count = 0;
    for (const byte of payload) if (byte < 0x80) count++;
    return count;
  }

  /** Calls `each` for the elements of a repeated scalar field; integers as (low, high) 32-bit words. */
  eachScalar(element: 0 | 1 | 5, each: (low: number, high: number) => void): void {
    if (this.wire === WIRE.length) {
      const inner = this.#inner();
      while (inner.#position < inner.end) inner.#scalar(element, each);
    } else {
      this.expect(element);
      this.#scalar(element, each);
    }
  }

  expect(wire: number): void {
    if (this.wire !== wire) {
      throw this.malformed(`field ${this.field} with wire type ${this.wire} instead of ${wire}`);
    }
  }

  malformed(what: string, cause?: unknown): AppError {
    return new AppError(
      'onnx/malformed',
      `This is not a whole ONNX file: ${this.what} holds ${what} near byte ${this.#position}.`,
      { where: this.what, byte: this.#position },
      cause,
    );
  }

  #inner(): WireReader {
    const length = this.#unsigned();
    const at = this.#take(length);
    return new WireReader(this.bytes, this.what, at, at + length, this.budget);
  }

  #scalar(element: 0 | 1 | 5, each: (low: number, high: number) => void): void {
    if (element === WIRE.varint) {
      this.#varint();
      each(this.#low, this.#high);
    } else {
      const view = this.#view(element === WIRE.fixed32 ? 4 : 8);
      each(view.getUint32(0, true), element === WIRE.fixed32 ? 0 : view.getUint32(4, true));
    }
  }

  #view(length: number): DataView {
    const at = this.#take(length);
    return new DataView(this.bytes.buffer, this.bytes.byteOffset + at, length);
  }

  /** Moves past `length` bytes and returns where they began. */
  #take(length: number): number {
    const at = this.#position;
    const left = this.end - at;
    if (length > left) {
      throw new AppError(
        'onnx/truncated',
        `The ONNX file is cut off or damaged: ${this.what} claims ${length} bytes at byte ${at}, but only ${left} are left. Export or download it again.`,
        { where: this.what, byte: at, claimed: length, left },
      );
    }
    this.#position = at + length;
    return at;
  }

  #varint(): void {
    let low = 0;
    let high = 0;
    for (let shift = 0; shift < 70; shift += 7) {
      const byte = this.bytes[this.#take(1)] ?? 0;
      const bits = byte & 0x7f;
      if (shift < 28) low |= bits << shift;
      else if (shift === 28) {
        low |= bits << 28;
        high |= bits >>> 4;
      } else high |= bits << (shift - 32);
      if (byte < 0x80) {
        this.#low = low >>> 0;
        this.#high = high >>> 0;
        return;
      }
    }
    throw this.malformed('a number longer than ten bytes');
  }

  #unsigned(): number {
    this.#varint();
    return this.#high * TWO_32 + this.#low;
  }

  #signed(): number {
    this.#varint();
    const value = (this.#high | 0) * TWO_32 + this.#low;
    if (Number.isSafeInteger(value)) return value;
    const extreme =
      (this.#high === 0x7fffffff && this.#low === 0xffffffff) ||
      (this.#high === 0x80000000 && this.#low === 0);
    if (extreme) return value;
    throw this.malformed('a whole number beyond 2^53');
  }

  #spend(): void {
    if (--this.budget.parts < 0) throw tooLarge(`${MAX_PARTS} parts`, MAX_PARTS);
  }

  #list(): void {
    if (--this.budget.listed < 0) throw tooLarge(`${MAX_LISTED} numbers in lists`, MAX_LISTED);
  }
}

function tooLarge(what: string, limit: number): AppError {
  return new AppError(
    'onnx/too-large',
    `The ONNX file has more than ${what}, more than any model that runs here.`,
    { limit },
  );
}

/** One message being written. Large payloads stay views until `finish` copies everything once. */
export class WireWriter {
  readonly #parts: Uint8Array[] = [];
  #pending: number[] = [];
  #length = 0;

  /** Bytes so far. */
  get length(): number {
    return this.#length + this.#pending.length;
  }

  int(field: number, value: number): this {
    this.#tag(field, WIRE.varint);
    return this.#signed(value);
  }

  float(field: number, value: number): this {
    this.#tag(field, WIRE.fixed32);
    this.#pending.push(...new Uint8Array(Float32Array.of(value).buffer));
    return this;
  }

  bytes(field: number, value: Uint8Array): this {
    this.#tag(field, WIRE.length);
    this.#varint(value.length);
    if (value.length < 64) this.#pending.push(...value);
    else this.#append(value);
    return this;
  }

  string(field: number, value: string): this {
    return this.bytes(field, encoder.encode(value));
  }

  /** A string field that is left out when empty, as proto3 does. */
  optionalString(field: number, value: string): this {
    return value === '' ? this : this.string(field, value);
  }

  ints(field: number, values: readonly number[]): this {
    if (values.length === 0) return this;
    const packed = new WireWriter();
    for (const value of values) packed.#signed(value);
    return this.message(field, packed);
  }

  floats(field: number, values: readonly number[]): this {
    return values.length === 0
      ? this
      : this.bytes(field, new Uint8Array(Float32Array.from(values).buffer));
  }

  message(field: number, message: WireWriter): this {
    this.#tag(field, WIRE.length);
    this.#varint(message.length);
    message.#flush();
    for (const part of message.#parts) this.#append(part);
    return this;
  }

  finish(): Uint8Array<ArrayBuffer> {
    this.#flush();
    const out = new Uint8Array(this.#length);
    let at = 0;
    for (const part of this.#parts) {
      out.set(part, at);
      at += part.length;
    }
    return out;
  }

  #tag(field: number, wire: number): void {
    this.#varint(field * 8 + wire);
  }

  #varint(value: number): void {
    while (value >= 0x80) {
      this.#pending.push((value % 0x80) + 0x80);
      value = Math.floor(value / 0x80);
    }
    this.#pending.push(value);
  }

  #signed(value: number): this {
    if (value >= 0 && value <= Number.MAX_SAFE_INTEGER) {
      this.#varint(value);
      return this;
    }
    let rest = BigInt.asUintN(
      64,
      value >= INT64_LIMIT ? 2n ** 63n - 1n : BigInt(Math.max(value, -INT64_LIMIT)),
    );
    while (rest >= 0x80n) {
      this.#pending.push(Number(rest & 0x7fn) + 0x80);
      rest >>= 7n;
    }
    this.#pending.push(Number(rest));
    return this;
  }

  #append(part: Uint8Array): void {
    this.#flush();
    this.#parts.push(part);
    this.#length += part.length;
  }

  #flush(): void {
    if (this.#pending.length === 0) return;
    const part = Uint8Array.from(this.#pending);
    this.#pending = [];
    this.#parts.push(part);
    this.#length += part.length;
  }
}
