/**
 * Looks for a word in everything that a browser left in its profile: each file as it lies, in UTF-8 and UTF-16, and the
 * blocks of LevelDB tables unpacked, since Chromium compresses those with Snappy.
 */
import { readFile, readdir } from 'node:fs/promises';
import { join, relative } from 'node:path';

export interface Found {
  readonly file: string;
  readonly word: string;
  /** A little of what stands around it. */
  readonly around: string;
}

/** @param inside only files whose path in the profile contains it */
export async function searchProfile(
  profile: string,
  words: readonly string[],
  inside = '',
): Promise<readonly Found[]> {
  const found: Found[] = [];
  const entries = await readdir(profile, { recursive: true, withFileTypes: true });
  for (const entry of entries) {
    if (!entry.isFile()) continue;
    const path = join(entry.parentPath, entry.name);
    const file = relative(profile, path);
    if (!file.includes(inside)) continue;
    const bytes = await readFile(path);
    for (const form of [bytes, ...levelDbBlocks(bytes)]) {
      for (const word of words) {
        const at = Math.max(form.indexOf(word, 0, 'utf8'), form.indexOf(word, 0, 'utf16le'));
        if (at < 0) continue;
        const around = form.subarray(Math.max(0, at - 40), at + 80).toString('latin1');
        found.push({ file, word, around });
      }
    }
  }
  return found;
}

/** The last eight bytes of a table, little-endian (leveldb/doc/table_format.md). */
const MAGIC = Buffer.from('57fb808b247547db', 'hex');
const FOOTER_BYTES = 48;

/** Data blocks of a LevelDB table, unpacked; none where it is something else. */
export function levelDbBlocks(file: Buffer): readonly Buffer[] {
  if (file.length < FOOTER_BYTES || !file.subarray(-8).equals(MAGIC)) return [];
  const footer = new Reader(file.subarray(-FOOTER_BYTES));
  footer.varint();
  footer.varint();
  const index = block(file, footer.varint(), footer.varint());
  if (index === null) return [];
  const blocks: Buffer[] = [];
  const entries = new Reader(
    index.subarray(0, index.length - 4 - 4 * index.readUInt32LE(index.length - 4)),
  );
  while (!entries.ended) {
    entries.varint();
    const own = entries.varint();
    const length = entries.varint();
    entries.skip(own);
    const handle = new Reader(entries.take(length));
    const data = block(file, handle.varint(), handle.varint());
    if (data !== null) blocks.push(data);
  }
  return blocks;
}

/** A block is followed by its kind of compression: 0 none, 1 Snappy. */
function block(file: Buffer, at: number, length: number): Buffer | null {
  const kind = file[at + length];
  const bytes = file.subarray(at, at + length);
  if (kind === 0) return bytes;
  return kind === 1 ? unsnap(bytes) : null;
}

/** Snappy's block format (google/snappy, format_description.txt). */
export function unsnap(packed: Buffer): Buffer {
  const reader = new Reader(packed);
  const out = Buffer.alloc(reader.varint());
  let at = 0;
  while (!reader.ended) {
    const tag = reader.byte();
    const kind = tag & 3;
    if (kind === 0) {
      const short = tag >> 2;
      const length = 1 + (short < 60 ? short : reader.little(short - 59));
      reader.take(length).copy(out, at);
      at += length;
      continue;
    }
    const length = kind === 1 ? 4 + ((tag >> 2) & 7) : 1 + (tag >> 2);
    const back = kind === 1 ? ((tag >> 5) << 8) | reader.byte() : reader.little(kind === 2 ? 2 : 4);
    // A copy may reach into what it writes itself.
    for (let i = 0; i < length; i++, at++) out[at] = out[at - back] ?? 0;
  }
  return out;
}

class Reader {
  readonly #bytes: Buffer;
  #at = 0;

  constructor(bytes: Buffer) {
    this.#bytes = bytes;
  }

  get ended(): boolean {
    return this.#at >= this.#bytes.length;
  }

  byte(): number {
    return this.#bytes[this.#at++] ?? 0;
  }

  little(bytes: number): number {
    let value = 0;
    for (let i = 0; i < bytes; i++) value += this.byte() * 2 ** (8 * i);
    return value;
  }

  varint(): number {
    let value = 0;
    for (let shift = 0; ; shift += 7) {
      const byte = this.byte();
      value += (byte & 127) * 2 ** shift;
      if (byte < 128) return value;
    }
  }

  take(length: number): Buffer {
    this.#at += length;
    return this.#bytes.subarray(this.#at - length, this.#at);
  }

  skip(length: number): void {
    this.#at += length;
  }
}
