/**
 * The bytes of a zip around what is in it (APPNOTE.TXT 6.3.10): stored entries back to back, the directory, the end,
 * and nothing else. The reader makes every header again from what it read and compares, so there is one way to write
 * an archive and not a byte of it that may differ. Zip64 where there are more entries or bytes than 16 and 32 bits say.
 */

export interface ZipEntry {
  readonly name: string;
  readonly bytes: number;
  readonly crc: number;
  /** DOS date and time; ours are the first that can be said, so that equal projects make equal files. */
  readonly date: number;
  /** Where its local header begins. */
  readonly offset: number;
}

export const FIRST_DATE = 0x00210000;
export const LOCAL_BYTES = 30;
export const CENTRAL_BYTES = 46;
export const END_BYTES = 22;
/** The 64-bit record of the end and the locator that points to it; both lie before the ordinary end. */
export const END64_BYTES = 56 + 20;
export const LOCAL = 0x04034b50;
export const CENTRAL = 0x02014b50;
export const END = 0x06054b50;
const END64 = 0x06064b50;
const LOCATOR64 = 0x07064b50;
const MAX16 = 0xffff;
const MAX32 = 0xffffffff;
/** Made on a Unix-like system; an ordinary file that its owner may write. */
const MADE_BY = 0x0300;
const ATTRIBUTES = 0x81a40000;

/** What follows the header's signature in both headers. */
function common(write: Writer, entry: ZipEntry, version: number, extra: number): Writer {
  const nameBytes = new TextEncoder().encode(entry.name).length;
  return write
    .u16(version)
    .u16(0)
    .u16(0)
    .u32(entry.date)
    .u32(entry.crc)
    .u32(entry.bytes)
    .u32(entry.bytes)
    .u16(nameBytes)
    .u16(extra);
}

export function localHeader(entry: ZipEntry): Uint8Array<ArrayBuffer> {
  return common(new Writer().u32(LOCAL), entry, 10, 0).text(entry.name).bytes;
}

export function centralHeader(entry: ZipEntry): Uint8Array<ArrayBuffer> {
  const far = entry.offset >= MAX32;
  const write = new Writer().u32(CENTRAL).u16(MADE_BY);
  common(write, entry, far ? 45 : 10, far ? 12 : 0);
  write
    .u16(0)
    .u16(0)
    .u16(0)
    .u32(ATTRIBUTES)
    .u32(far ? MAX32 : entry.offset)
    .text(entry.name);
  return far ? write.u16(1).u16(8).u64(entry.offset).bytes : write.bytes;
}

export function ending(
  entries: number,
  directoryAt: number,
  directoryBytes: number,
): Uint8Array<ArrayBuffer> {
  const write = new Writer();
  const large = isLarge(entries, directoryAt);
  if (large) {
    write
      .u32(END64)
      .u64(44)
      .u16(MADE_BY | 45)
      .u16(45)
      .u32(0)
      .u32(0)
      .u64(entries)
      .u64(entries)
      .u64(directoryBytes)
      .u64(directoryAt);
    write
      .u32(LOCATOR64)
      .u32(0)
      .u64(directoryAt + directoryBytes)
      .u32(1);
  }
  const count = large ? MAX16 : entries;
  write.u32(END).u16(0).u16(0).u16(count).u16(count);
  return write
    .u32(large ? MAX32 : directoryBytes)
    .u32(large ? MAX32 : directoryAt)
    .u16(0).bytes;
}

function isLarge(entries: number, directoryAt: number): boolean {
  return entries >= MAX16 || directoryAt >= MAX32;
}

export interface Ending {
  readonly entries: number;
  readonly directoryAt: number;
  readonly directoryBytes: number;
}

/** What the last bytes of a file say, which `ending` then has to give again; null where they are no end. */
export function readEnding(tail: Uint8Array<ArrayBuffer>): Ending | null {
  const view = viewOf(tail);
  const at = tail.length - END_BYTES;
  if (at < 0 || view.getUint32(at, true) !== END) return null;
  const [entries, directoryBytes, directoryAt] = [
    view.getUint16(at + 10, true),
    view.getUint32(at + 12, true),
    view.getUint32(at + 16, true),
  ];
  if (entries !== MAX16 || directoryAt !== MAX32) return { entries, directoryBytes, directoryAt };
  if (at < END64_BYTES) return null;
  const start = at - END64_BYTES;
  return {
    entries: Number(view.getBigUint64(start + 32, true)),
    directoryBytes: Number(view.getBigUint64(start + 40, true)),
    directoryAt: Number(view.getBigUint64(start + 48, true)),
  };
}

export interface CentralHeader {
  readonly entry: ZipEntry;
  readonly flags: number;
  readonly method: number;
  /** All of it. */
  readonly length: number;
}

/** The directory's header at `at`; null where there is none, or it is cut off. */
export function readCentral(directory: Uint8Array<ArrayBuffer>, at: number): CentralHeader | null {
  if (at + CENTRAL_BYTES > directory.length) return null;
  const view = viewOf(directory);
  if (view.getUint32(at, true) !== CENTRAL) return null;
  const nameBytes = view.getUint16(at + 28, true);
  const extra = view.getUint16(at + 30, true);
  const length = CENTRAL_BYTES + nameBytes + extra + view.getUint16(at + 32, true);
  if (at + length > directory.length) return null;
  const name = directory.subarray(at + CENTRAL_BYTES, at + CENTRAL_BYTES + nameBytes);
  const near = view.getUint32(at + 42, true);
  const far = near === MAX32 && extra === 12;
  const farAt = at + CENTRAL_BYTES + nameBytes + 4;
  return {
    entry: {
      name: new TextDecoder().decode(name),
      bytes: view.getUint32(at + 24, true),
      crc: view.getUint32(at + 16, true),
      date: view.getUint32(at + 12, true),
      offset: far ? Number(view.getBigUint64(farAt, true)) : near,
    },
    flags: view.getUint16(at + 8, true),
    method: view.getUint16(at + 10, true),
    length,
  };
}

export function sameBytes(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((byte, index) => byte === b[index]);
}

function viewOf(bytes: Uint8Array<ArrayBuffer>): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

/** Little-endian fields one after the other. */
class Writer {
  readonly #fields: number[] = [];

  get bytes(): Uint8Array<ArrayBuffer> {
    return Uint8Array.from(this.#fields);
  }

  u16(value: number): this {
    this.#fields.push(value & 255, value >>> 8);
    return this;
  }

  u32(value: number): this {
    return this.u16(value & MAX16).u16(value >>> 16);
  }

  u64(value: number): this {
    return this.u32(value % 2 ** 32).u32(Math.floor(value / 2 ** 32));
  }

  text(text: string): this {
    this.#fields.push(...new TextEncoder().encode(text));
    return this;
  }
}
