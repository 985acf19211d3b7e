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
          throw new AppError(
            'data/zip-too-large',
            `The zip holds more than ${PICTURE_LIMITS.zipEntries} files or ${PICTURE_LIMITS.zipBytes / 1024 ** 3} GB. Split it.`,
            { entries: entries.length, bytes: total },
          );
        }
      }
    } catch (error) {
      if (error instanceof AppError) throw error;
      throw new AppError(
        'data/zip-damaged',
        'The zip file cannot be read: its table of contents is damaged or cut off. Make it again, or choose the folder itself.',
        {},
        error,
      );
    }
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
