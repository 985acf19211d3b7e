/**
 * The chunks of an open vault: to the store they have the keys they always had, on the disk they are sealed and lie
 * under names that tell nothing. What is where is known in memory, from the records.
 */
import type { ChunkRef, Timestamp } from '../../protocol/entities';
import { Chunks, leaves } from '../chunks';
import type { KeySet, PutOptions } from '../chunks';
import { guarded, megabytes } from '../errors';
import type { CacheDatabase } from '../schema';
import { SEAL_BYTES, seal, unseal } from './envelope';
import { tampered } from './errors';
import { nameOf } from './keys';
import type { VaultKeys } from './keys';
import { placesOf } from './places';

export class SealedChunks extends Chunks {
  readonly #keys: VaultKeys;
  readonly #disk: CacheDatabase;
  readonly #known: CacheDatabase;
  readonly #clock: () => Timestamp;

  /**
   * @param disk where the sealed bytes lie
   * @param known lengths by the store's own keys, in memory
   */
  constructor(
    keys: VaultKeys,
    disk: CacheDatabase,
    known: CacheDatabase,
    now: () => Timestamp,
    partBytes?: number,
  ) {
    super(known, now, partBytes);
    this.#keys = keys;
    this.#disk = disk;
    this.#known = known;
    this.#clock = now;
  }

  async place(storageKey: string): Promise<string> {
    return placesOf(this.#keys.projectId) + (await nameOf(this.#keys, 'chunk', storageKey));
  }

  /** Whether a record of this vault may name it. */
  async has(ref: ChunkRef): Promise<boolean> {
    return (await this.missing([ref])).length === 0;
  }

  protected override async write(
    bytes: ArrayBuffer,
    sha256: string,
    storageKey: string,
    { heldBy, onWritten }: PutOptions = {},
  ): Promise<ChunkRef> {
    const size = bytes.byteLength;
    const place = await this.place(storageKey);
    const sealed = await seal(this.#keys.sealing, this.#identity(storageKey), bytes);
    const { chunkInfo } = this.#known;
    const before = await chunkInfo.get(storageKey);
    const held = heldBy === undefined ? {} : { heldBy: [...(before?.heldBy ?? []), heldBy] };
    // Known first: the collector removes what lies on the disk and is not.
    const now = this.#clock();
    await chunkInfo.put({ storageKey, bytes: size, pendingSince: now, ...held });
    try {
      await guarded(`${megabytes(size)} of data`, () =>
        this.#disk.transaction('rw', this.#disk.chunks, this.#disk.chunkInfo, async () => {
          await this.#disk.chunks.put({ storageKey: place, bytes: sealed });
          const bytes = sealed.byteLength;
          await this.#disk.chunkInfo.put({ storageKey: place, bytes, pendingSince: now });
        }),
      );
    } catch (error) {
      await (before ? chunkInfo.put(before) : chunkInfo.delete(storageKey));
      throw error;
    }
    const ref = { sha256, storageKey, bytes: size };
    onWritten?.(ref);
    return ref;
  }

  protected override async read(ref: ChunkRef): Promise<ArrayBuffer> {
    const place = await this.place(ref.storageKey);
    const row = await guarded('a chunk of data', () => this.#disk.chunks.get(place));
    const about = { storageKey: ref.storageKey, sha256: ref.sha256 };
    if (row === undefined) throw tampered('a chunk of data', about);
    const bytes = await unseal(this.#keys.sealing, this.#identity(ref.storageKey), row.bytes);
    if (bytes.byteLength !== ref.bytes) throw tampered('a chunk of data', about);
    return bytes;
  }

  override async sweep(
    referenced: KeySet,
    alone: boolean,
    imports?: ReadonlySet<string>,
  ): Promise<number> {
    const before = await this.#knownPlaces();
    const freed = await super.sweep(referenced, alone, imports);
    const known = await this.#knownPlaces();
    // Another tab may have this vault open too, and be about to name what it wrote just now.
    const garbage = (await this.#onDisk()).filter(
      (info) => !known.has(info.storageKey) && (before.has(info.storageKey) || !this.inGrace(info)),
    );
    await this.#remove(garbage.map(({ storageKey }) => storageKey));
    return freed;
  }

  override async removeUnder(prefix: string): Promise<void> {
    const { chunkInfo } = this.#known;
    const going = await chunkInfo.where('storageKey').startsWith(prefix).primaryKeys();
    const places = await Promise.all(going.map((key) => this.place(key)));
    await this.#remove(places);
    await chunkInfo.bulkDelete(going);
  }

  /** Starts from what the records name: those that lie on the disk in the right length are known. */
  async recall(refs: readonly ChunkRef[]): Promise<void> {
    const named = new Map(leaves(refs).map((ref) => [ref.storageKey, ref]));
    const lengths = new Map(
      (await this.#onDisk()).map((info) => [info.storageKey, info.bytes] as const),
    );
    const infos = (await this.list()).filter((info) => info.pendingSince !== undefined);
    for (const { storageKey, bytes } of named.values()) {
      const there = lengths.get(await this.place(storageKey));
      if (there === bytes + SEAL_BYTES) infos.push({ storageKey, bytes });
    }
    const { chunkInfo } = this.#known;
    await this.#known.transaction('rw', chunkInfo, async () => {
      await chunkInfo.clear();
      await chunkInfo.bulkPut(infos);
    });
  }

  /** Places where something lies that is not known, and the other way round. */
  override async torn(): Promise<readonly string[]> {
    const known = await this.#knownPlaces();
    const stored = await this.#onDisk();
    const places = new Set(stored.map(({ storageKey }) => storageKey));
    return [
      ...stored
        .filter((info) => !known.has(info.storageKey) && !this.inGrace(info))
        .map(({ storageKey }) => storageKey),
      ...[...known].filter((place) => !places.has(place)),
    ];
  }

  #identity(storageKey: string) {
    return { projectId: this.#keys.projectId, kind: 'chunk' as const, key: storageKey };
  }

  async #knownPlaces(): Promise<ReadonlySet<string>> {
    const infos = await this.list();
    return new Set(await Promise.all(infos.map(({ storageKey }) => this.place(storageKey))));
  }

  #onDisk() {
    return guarded('the list of chunks', () =>
      this.#disk.chunkInfo.where('storageKey').startsWith(placesOf(this.#keys.projectId)).toArray(),
    );
  }

  async #remove(places: readonly string[]): Promise<void> {
    if (places.length === 0) return;
    const { chunks, chunkInfo } = this.#disk;
    await guarded('the removal of unused data', () =>
      this.#disk.transaction('rw', chunks, chunkInfo, async () => {
        await chunks.bulkDelete([...places]);
        await chunkInfo.bulkDelete([...places]);
      }),
    );
  }
}
