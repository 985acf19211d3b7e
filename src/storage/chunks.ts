/**
 * Bytes by name. A chunk is written as pending, and settled once a manifest that names it is on disk; what is
 * pending for longer than the grace period, or settled and no longer named, is garbage.
 */
import { AppError } from '../core/errors';
import { sha256Hex } from '../core/hash';
import type { ChunkRef, Timestamp } from '../protocol/entities';
import { guarded, megabytes } from './errors';
import type { CacheDatabase, ChunkInfoRow } from './schema';

/** How long a chunk may wait for its manifest: longer than any import takes. */
export const GRACE_MS = 60 * 60 * 1000;

export class Chunks {
  readonly #cache: CacheDatabase;
  readonly #now: () => Timestamp;

  constructor(cache: CacheDatabase, now: () => Timestamp) {
    this.#cache = cache;
    this.#now = now;
  }

  /** Content-addressed: equal bytes have one place. Writing them again heals a damaged chunk. */
  async put(bytes: ArrayBuffer): Promise<ChunkRef> {
    const sha256 = await sha256Hex(bytes);
    return this.#write(bytes, sha256, sha256);
  }

  /** Into a place of its own, replacing what is there (checkpoint slots). */
  async replace(bytes: ArrayBuffer, storageKey: string): Promise<ChunkRef> {
    return this.#write(bytes, await sha256Hex(bytes), storageKey);
  }

  async #write(bytes: ArrayBuffer, sha256: string, storageKey: string): Promise<ChunkRef> {
    const { chunks, chunkInfo } = this.#cache;
    const size = bytes.byteLength;
    await guarded(`${megabytes(size)} of data`, () =>
      this.#cache.transaction('rw', chunks, chunkInfo, async () => {
        await chunks.put({ storageKey, bytes });
        await chunkInfo.put({ storageKey, bytes: size, pendingSince: this.#now() });
      }),
    );
    return { sha256, storageKey, bytes: size };
  }

  /** The bytes, whose hash has been checked. `store/corrupt` names the chunk. */
  async get(ref: ChunkRef): Promise<ArrayBuffer> {
    const row = await guarded('a chunk of data', () => this.#cache.chunks.get(ref.storageKey));
    if (row === undefined) throw corrupt(ref, 'is missing');
    if (row.bytes.byteLength !== ref.bytes) throw corrupt(ref, 'has the wrong length');
    if ((await sha256Hex(row.bytes)) !== ref.sha256) throw corrupt(ref, 'does not match its hash');
    return row.bytes;
  }

  /** Those of `refs` that are not there, by length alone. */
  async missing(refs: readonly ChunkRef[]): Promise<readonly ChunkRef[]> {
    const infos = await guarded('a list of chunks', () =>
      this.#cache.chunkInfo.bulkGet(refs.map((ref) => ref.storageKey)),
    );
    return refs.filter((ref, index) => infos[index]?.bytes !== ref.bytes);
  }

  /** A manifest on disk names these now. */
  async settle(refs: readonly ChunkRef[]): Promise<void> {
    const { chunkInfo } = this.#cache;
    await guarded('the list of chunks', () =>
      this.#cache.transaction('rw', chunkInfo, async () => {
        const keys = [...new Set(refs.map((ref) => ref.storageKey))];
        const infos = (await chunkInfo.bulkGet(keys)).filter((info) => info !== undefined);
        await chunkInfo.bulkPut(
          infos.map(({ storageKey, bytes }) => ({ storageKey, bytes }) satisfies ChunkInfoRow),
        );
      }),
    );
  }

  /** Every chunk's journal entry. */
  list(): Promise<ChunkInfoRow[]> {
    return guarded('the list of chunks', () => this.#cache.chunkInfo.toArray());
  }

  /** Whether a write may still be waiting for its manifest. A clock set back must not keep garbage for ever. */
  inGrace(info: ChunkInfoRow): boolean {
    return info.pendingSince !== undefined && Math.abs(this.#now() - info.pendingSince) <= GRACE_MS;
  }

  /**
   * Deletes what `referenced` lacks and returns the bytes freed. The caller holds the collector's lock, so no
   * manifest appears meanwhile. With `alone` no writer lives, and nothing pending is spared.
   */
  async sweep(referenced: ReadonlySet<string>, alone: boolean): Promise<number> {
    const { chunks, chunkInfo } = this.#cache;
    return guarded('the removal of unused data', () =>
      this.#cache.transaction('rw', chunks, chunkInfo, async () => {
        const infos = await chunkInfo.toArray();
        const garbage = infos.filter(
          (info) => !referenced.has(info.storageKey) && (alone || !this.inGrace(info)),
        );
        const keys = garbage.map((info) => info.storageKey);
        await chunks.bulkDelete(keys);
        await chunkInfo.bulkDelete(keys);
        return garbage.reduce((sum, info) => sum + info.bytes, 0);
      }),
    );
  }

  /** Keys whose bytes and journal disagree: one is there without the other. */
  async torn(): Promise<readonly string[]> {
    const { chunks, chunkInfo } = this.#cache;
    return guarded('the list of chunks', () =>
      this.#cache.transaction('r', chunks, chunkInfo, async () => {
        const stored = new Set(await chunks.toCollection().primaryKeys());
        const listed = new Set(await chunkInfo.toCollection().primaryKeys());
        return [
          ...[...stored].filter((key) => !listed.has(key)),
          ...[...listed].filter((key) => !stored.has(key)),
        ];
      }),
    );
  }
}

function corrupt(ref: ChunkRef, how: string): AppError {
  return new AppError(
    'store/corrupt',
    `The stored data chunk ${ref.sha256.slice(0, 12)} (${megabytes(ref.bytes)}) ${how}. Import the file it came from again, or open a saved project file.`,
    { storageKey: ref.storageKey, sha256: ref.sha256, bytes: ref.bytes },
  );
}
