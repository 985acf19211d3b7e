/** Where an archive goes: a file that the person picked, or a Blob for an ordinary download. */
import { AppError } from '../../core/errors';
import { megabytes } from '../errors';
import type { Sink } from './container';

export interface EndedSink extends Sink {
  /** All is written. The Blob, where it went into none of the person's files. */
  end(): Promise<Blob | null>;
  /** What was written so far goes. */
  abort(): Promise<void>;
}

/** A Blob of this many parts becomes one part of the next: a browser may hold neither in memory. */
const PARTS = 64;

/** The browser keeps Blobs on disk when they grow; only their handles are held here. */
export function blobSink(): EndedSink {
  let parts: Blob[] = [];
  return {
    write(bytes) {
      parts.push(new Blob([bytes]));
      if (parts.length >= PARTS) parts = [new Blob(parts)];
      return Promise.resolve();
    },
    end: () => Promise.resolve(new Blob(parts, { type: 'application/zip' })),
    abort() {
      parts = [];
      return Promise.resolve();
    },
  };
}

/** Writes beside the file; only `end` puts it in its place. */
export async function fileSink(handle: FileSystemFileHandle): Promise<EndedSink> {
  const name = `“${handle.name}”`;
  let written = 0;
  const stream = await saved(name, 0, () => handle.createWritable());
  return {
    async write(bytes) {
      await saved(name, written, () => stream.write(bytes));
      written += bytes.length;
    },
    async end() {
      await saved(name, written, () => stream.close());
      return null;
    },
    abort: () => stream.abort(),
  };
}

async function saved<T>(name: string, written: number, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (thrown) {
    throw notSaved(thrown, name, written);
  }
}

/** What the File System Access API throws, in words. */
export function notSaved(thrown: unknown, name: string, written = 0): AppError {
  const kind = thrown instanceof DOMException ? thrown.name : '';
  if (kind === 'QuotaExceededError') {
    return new AppError(
      'backup/full',
      `There is no room for ${name}: the disk was full after ${megabytes(written)}. Free some space or choose another place.`,
      { written },
      thrown,
    );
  }
  if (kind === 'NotAllowedError' || kind === 'SecurityError') {
    return new AppError(
      'backup/permission',
      `The browser does not allow ${name} to be written. Allow it again, or choose another place.`,
      {},
      thrown,
    );
  }
  if (kind === 'NotFoundError') {
    return new AppError(
      'backup/gone',
      `The place for ${name} is not there any more: it was moved, renamed or taken out. Choose another one.`,
      {},
      thrown,
    );
  }
  return new AppError(
    'backup/failed',
    `${name} could not be written: ${thrown instanceof Error ? thrown.message : String(thrown)}. Try again, or choose another place.`,
    { kind },
    thrown,
  );
}
