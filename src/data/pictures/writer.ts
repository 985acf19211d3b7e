/**
 * Pictures on their way into the store: one after the other into a buffer, a full buffer into a chunk, so that a folder
 * of any length needs the memory of a few pictures. Small sets begin as grey and become coloured when the first coloured
 * picture comes. An equal picture is counted, kept, and told to the person.
 */
import { AppError } from '../../core/errors';
import { sha256Hex } from '../../core/hash';
import { putBytes } from '../dataset';
import { isGrey, luma } from '../../core/grey';
import { GREY_SIDE } from './limits';
import type { ChunkRef } from '../../protocol/entities';
import type { DataStore, ImageData } from '../dataset';
import type { DecodedPicture } from './decode';

const CHUNK_BYTES = 4 << 20;

export class PictureWriter {
  readonly #store: DataStore;
  readonly #size: number;
  readonly #kept: readonly ChunkRef[];
  readonly #seen = new Map<string, string>();
  #fixed: boolean;
  #channels: number;
  #written: ChunkRef[] = [];
  #buffer: Uint8Array[] = [];
  #buffered = 0;
  #rows = 0;
  #stopped = false;
  #duplicates = 0;
  #contradictions = 0;

  /** `base`: the dataset whose next version this is; its pictures come first and its channels are kept. */
  private constructor(store: DataStore, size: number, base: ImageData | null) {
    this.#store = store;
    this.#size = size;
    this.#kept = base?.manifest.pixels ?? [];
    this.#fixed = base !== null || size > GREY_SIDE;
    this.#channels = base?.manifest.channels ?? (size > GREY_SIDE ? 3 : 1);
  }

  static async open(
    store: DataStore,
    size: number,
    base: ImageData | null,
  ): Promise<PictureWriter> {
    const writer = new PictureWriter(store, size, base);
    if (base !== null) {
      const { rows, classes } = base.manifest;
      const bytes = base.manifest.channels * size * size;
      for (let row = 0; row < rows; row++) {
        const pixels = base.pixels.subarray(row * bytes, (row + 1) * bytes);
        writer.#seen.set(
          await fingerprint(pixels, base.manifest.channels),
          classes[base.labels[row] ?? 0] ?? '',
        );
      }
    }
    return writer;
  }

  /** Pictures added, without those of the base. */
  get rows(): number {
    return this.#rows;
  }

  get channels(): number {
    return this.#channels;
  }

  get duplicates(): number {
    return this.#duplicates;
  }

  get contradictions(): number {
    return this.#contradictions;
  }

  async add({ pixels, grey }: DecodedPicture, label: string): Promise<void> {
    if (this.#channels === 1 && !grey && !this.#fixed) await this.#turnColoured();
    this.#fixed ||= !grey;
    const row = this.#channels === 3 ? pixels : luma(pixels);
    const hash = await fingerprint(row, this.#channels);
    const earlier = this.#seen.get(hash);
    if (earlier === undefined) this.#seen.set(hash, label);
    else {
      this.#duplicates++;
      if (earlier !== label) this.#contradictions++;
    }
    this.#buffer.push(row);
    this.#buffered += row.length;
    this.#rows++;
    if (this.#buffered + row.length > CHUNK_BYTES) await this.#flush();
  }

  /** All chunks, those of the base first. */
  async finish(): Promise<readonly ChunkRef[]> {
    await this.#flush();
    const refs = [...this.#kept, ...this.#written];
    this.#written = [];
    return refs;
  }

  /** Gives up what was written and has no manifest. */
  async stop(): Promise<void> {
    this.#stopped = true;
    const refs = this.#written;
    this.#written = [];
    if (refs.length > 0) await this.#store.discardChunks(refs);
  }

  async #flush(): Promise<void> {
    if (this.#buffer.length === 0) return;
    const bytes = new Uint8Array(this.#buffered);
    let at = 0;
    for (const row of this.#buffer) {
      bytes.set(row, at);
      at += row.length;
    }
    this.#buffer = [];
    this.#buffered = 0;
    this.#written.push(...(await putBytes(this.#store, bytes)));
    if (!this.#stopped) return;
    await this.stop();
    throw new AppError('data/cancelled', 'Reading was cancelled; nothing was kept.');
  }

  /** Every grey picture so far with three equal planes. */
  async #turnColoured(): Promise<void> {
    this.#channels = 3;
    const grey = this.#written;
    this.#written = [];
    const waiting = this.#buffer;
    this.#buffer = [];
    this.#buffered = 0;
    const plane = this.#size * this.#size;
    const again = async (row: Uint8Array): Promise<void> => {
      const wide = new Uint8Array(3 * plane);
      for (let channel = 0; channel < 3; channel++) wide.set(row, channel * plane);
      this.#buffer.push(wide);
      this.#buffered += wide.length;
      if (this.#buffered + wide.length > CHUNK_BYTES) await this.#flush();
    };
    for (const ref of grey) {
      const rows = new Uint8Array(await this.#store.getChunk(ref));
      for (let at = 0; at < rows.length; at += plane) await again(rows.slice(at, at + plane));
    }
    for (const row of waiting) await again(row);
    if (grey.length > 0) await this.#store.discardChunks(grey);
  }
}

/** Equal for equal pictures: three equal planes are the same picture as one. */
function fingerprint(row: Uint8Array, channels: number): Promise<string> {
  return sha256Hex(channels === 3 && isGrey(row) ? row.subarray(0, row.length / 3) : row);
}
