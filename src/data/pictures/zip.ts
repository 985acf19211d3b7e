/**
 * A zip of pictures, read entry by entry where it lies: nothing is unpacked but the picture that is asked for, and no
 * more of it than its own table of contents promised.
 */
import { BlobReader, ZipReader, configure } from '@zip.js/zip.js/lib/zip-core-native.js';
import type { FileEntry } from '@zip.js/zip.js/lib/zip-core-native.js';
import { AppError } from '../../core/errors';
import { PICTURE_LIMITS } from './limits';

// Its workers come from blob: addresses, which the content policy forbids; we are in a worker already.
configure({ useWebWorkers: false });

export class PictureZip {
  readonly names: readonly string[];
  readonly #entries: readonly FileEntry[];

  private constructor(entries: readonly FileEntry[]) {
    this.#entries = entries;
    this.names = entries.map(({ filename }) => filename);
  }

  static async open(file: Blob): Promise<PictureZip> {
    await refuseLargeContents(file);
    const zip = new ZipReader(new BlobReader(file), {
      strictness: 'strict',
      // Names are only read, never written to; layout.ts leaves out those that would lead elsewhere.
      filenameValidation: 'tolerant',
    });
    const entries: FileEntry[] = [];
    let total = 0;
    try {
      for await (const entry of zip.getEntriesGenerator()) {
        if (entry.directory) continue;
        entries.push(entry);
        total += entry.uncompressedSize;
        if (entries.length > PICTURE_LIMITS.zipEntries || total > PICTURE_LIMITS.zipBytes) {
          throw tooLarge(entries.length, total);
        }
      }
    } catch (error) {
      if (error instanceof AppError) throw error;
      throw damagedContents(error);
    }
    refuseOverlaps(entries, file.size);
    return new PictureZip(entries);
  }

  async read(index: number): Promise<Blob> {
    const entry = this.#entries[index];
    if (!entry) throw new AppError('internal/invariant', `The zip has no entry ${index}.`);
    const { uncompressedSize: size, compressedSize, encrypted } = entry;
    if (encrypted) throw new AppError('data/zip-encrypted', 'It is locked with a password.');
    if (size > PICTURE_LIMITS.fileBytes) throw tooManyBytes(size);
    if (size > 1024 ** 2 && size > compressedSize * PICTURE_LIMITS.zipRatio) {
      throw new AppError(
        'data/zip-bomb',
        `It unpacks to ${Math.round(size / compressedSize)} times its size, which no picture does.`,
        { size, compressedSize },
      );
    }
    const parts: Uint8Array<ArrayBuffer>[] = [];
    let had = 0;
    const sink = new WritableStream<Uint8Array<ArrayBuffer>>({
      write(part) {
        had += part.length;
        // The table of contents lied.
        if (had > size) throw new AppError('data/zip-bomb', 'It unpacks to more than it says.');
        parts.push(part);
      },
    });
    try {
      await entry.getData(sink, { checkSignature: true });
    } catch (error) {
      if (error instanceof AppError) throw error;
      throw new AppError('data/zip-damaged', 'It is damaged within the zip file.', {}, error);
    }
    return new Blob(parts);
  }
}

export function tooManyBytes(bytes: number): AppError {
  return new AppError(
    'data/picture-too-large',
    `It has ${Math.round(bytes / 1e6)} MB; at most ${Math.round(PICTURE_LIMITS.fileBytes / 1e6)} MB can be read.`,
    { bytes },
  );
}

const END = { bytes: 22, signature: 0x06054b50, longestComment: 65_535 } as const;
const END64 = { locator: 20, signature: 0x06064b50, bytes: 56 } as const;

/**
 * Reads only where the zip ends, before its table of contents is read in one piece: how many entries it claims, and how
 * long the table is.
 */
async function refuseLargeContents(file: Blob): Promise<void> {
  const from = Math.max(0, file.size - END.bytes - END.longestComment);
  const tail = await viewOf(file, from, file.size);
  let at = tail.byteLength - END.bytes;
  while (at >= 0 && tail.getUint32(at, true) !== END.signature) at--;
  if (at < 0) throw damagedContents();
  let entries: number | bigint = tail.getUint16(at + 10, true);
  let begin: number | bigint = tail.getUint32(at + 16, true);
  let bytes: number | bigint = tail.getUint32(at + 12, true);
  if (entries === 0xffff || bytes === 0xffffffff || begin === 0xffffffff) {
    const locator = at - END64.locator;
    const place = locator < 0 ? -1n : tail.getBigUint64(locator + 8, true);
    if (place < 0n || place + BigInt(END64.bytes) > BigInt(file.size)) throw damagedContents();
    const record = await viewOf(file, Number(place), Number(place) + END64.bytes);
    if (record.getUint32(0, true) !== END64.signature) throw damagedContents();
    entries = record.getBigUint64(32, true);
    bytes = record.getBigUint64(40, true);
    begin = record.getBigUint64(48, true);
  }
  if (BigInt(begin) + BigInt(bytes) > BigInt(file.size)) throw damagedContents();
  // Whatever length it claims, nothing more than what lies before its end can be taken for the table.
  const longest = BigInt(from + at) - BigInt(begin);
  const contents = BigInt(bytes) > longest ? BigInt(bytes) : longest;
  if (entries > PICTURE_LIMITS.zipEntries || contents > PICTURE_LIMITS.zipContents) {
    throw tooLarge(Number(entries), Number(contents));
  }
}

async function viewOf(file: Blob, from: number, to: number): Promise<DataView> {
  try {
    return new DataView(await file.slice(from, to).arrayBuffer());
  } catch (error) {
    throw damagedContents(error);
  }
}

/** Entries that share their packed bytes are how a small zip unpacks to terabytes. */
function refuseOverlaps(entries: readonly FileEntry[], size: number): void {
  const byPlace = [...entries].sort((a, b) => a.offset - b.offset);
  byPlace.forEach((entry, index) => {
    const end = entry.offset + LOCAL_HEADER + entry.compressedSize;
    const limit = byPlace[index + 1]?.offset ?? size;
    if (end > limit) {
      throw new AppError(
        'data/zip-bomb',
        'The zip was refused: its files share the same bytes, as in zips that are made to unpack without end.',
        { entry: index },
      );
    }
  });
}

const LOCAL_HEADER = 30;

function tooLarge(entries: number, bytes: number): AppError {
  return new AppError(
    'data/zip-too-large',
    `The zip holds more than ${PICTURE_LIMITS.zipEntries} files or ${PICTURE_LIMITS.zipBytes / 1024 ** 3} GB. Split it.`,
    { entries, bytes },
  );
}

function damagedContents(cause?: unknown): AppError {
  return new AppError(
    'data/zip-damaged',
    'The zip file cannot be read: its table of contents is damaged or cut off. Make it again, or choose the folder itself.',
    {},
    cause,
  );
}
