/**
 * A note of what was saved, in a small file of its own: the browser keeps the databases and this in different places,
 * and damage to one is told by the other. Two slots, because a power cut may tear the one that is being written.
 */
import type { StoreMark } from '../protocol/storage';
import { holdLock } from './locks';
import type { Release } from './locks';

const SLOT_BYTES = 256;
/** A tab that was frozen while it wrote must not keep another from opening. */
const PATIENCE_MS = 2_000;

/** The part of FileSystemSyncAccessHandle that is used here; only workers have it, so the page's types lack it. */
interface MarkFile {
  read(bytes: Uint8Array, options: { at: number }): number;
  write(bytes: Uint8Array, options: { at: number }): number;
  flush(): void;
  close(): void;
}
interface Openable {
  createSyncAccessHandle(): Promise<MarkFile>;
}

export class Witness {
  readonly #name: string;
  #latest: StoreMark | null = null;
  #writing: Promise<void> | null = null;

  constructor(databases: string) {
    this.#name = `${databases}.mark`;
  }

  /** null where nothing was noted, or the browser keeps no such files. */
  async read(): Promise<StoreMark | null> {
    const marks = await this.#use((file) =>
      [0, 1].map((slot) => {
        const bytes = new Uint8Array(SLOT_BYTES);
        const length = file.read(bytes, { at: slot * SLOT_BYTES });
        return parse(new TextDecoder().decode(bytes.subarray(0, length)));
      }),
    );
    const whole = (marks ?? []).filter((mark) => mark !== null);
    return whole.reduce<StoreMark | null>(
      (most, mark) => (most === null || mark.writes > most.writes ? mark : most),
      null,
    );
  }

  /** Soon, and the last one only: what is noted too late tells of less, never of more. */
  note(mark: StoreMark): void {
    this.#latest = mark;
    this.#writing ??= this.#writeLatest().finally(() => (this.#writing = null));
  }

  /** From here on this is all that counts: what was there before was lost, and that is known. */
  async begin(mark: StoreMark): Promise<void> {
    await this.#writing;
    await this.#write(mark, [0, 1]);
  }

  async #writeLatest(): Promise<void> {
    while (this.#latest) {
      const mark = this.#latest;
      this.#latest = null;
      await this.#write(mark, [mark.writes % 2]);
    }
  }

  async #write(mark: StoreMark, slots: readonly number[]): Promise<void> {
    const bytes = new TextEncoder().encode(JSON.stringify(mark).padEnd(SLOT_BYTES));
    await this.#use((file) => {
      for (const slot of slots) file.write(bytes, { at: slot * SLOT_BYTES });
      file.flush();
    });
  }

  /** One tab at a time may have the file open. */
  async #use<T>(work: (file: MarkFile) => T): Promise<T | null> {
    let release: Release | null = null;
    try {
      const signal = AbortSignal.timeout(PATIENCE_MS);
      release = await holdLock(`${this.#name}-file`, { signal });
      const root = await navigator.storage.getDirectory();
      const handle = await root.getFileHandle(this.#name, { create: true });
      const file = await openable(handle).createSyncAccessHandle();
      try {
        return work(file);
      } finally {
        file.close();
      }
    } catch (error) {
      // Nothing is lost by it; a loss would only be noticed less surely.
      console.warn('The browser keeps no file beside the databases.', error);
      return null;
    } finally {
      release?.();
    }
  }
}

function openable(handle: FileSystemFileHandle): Openable {
  if ('createSyncAccessHandle' in handle) return handle as FileSystemFileHandle & Openable;
  throw new TypeError('Files can be written from a worker only.');
}

function parse(text: string): StoreMark | null {
  try {
    const { incarnation, writes, projects } = JSON.parse(text) as Partial<StoreMark>;
    const whole =
      typeof incarnation === 'string' && typeof writes === 'number' && typeof projects === 'number';
    return whole ? { incarnation, writes, projects } : null;
  } catch (error) {
    // Empty at first; torn by a power cut, when the other slot has the mark before.
    if (error instanceof SyntaxError) return null;
    throw error;
  }
}
