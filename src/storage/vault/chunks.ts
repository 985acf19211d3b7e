/**
 * The chunks of an open vault: to the store they have the keys they always had, on the disk they are sealed and lie
 * under names that tell nothing. What is where is known in memory, from the records.
 */
import type { ChunkRef, Id, Timestamp } from '../../protocol/entities';
import { Chunks, isHeld, leaves } from '../chunks';
import type { KeySet, PutOptions } from '../chunks';
import { sha256Hex } from '../../core/hash';
import { guarded, megabytes } from '../errors';
import type { CacheDatabase, ChunkInfoRow } from '../schema';
import { SEAL_BYTES, seal, unseal } from './envelope';
import { isTampered, tampered } from './errors';
import { nameOf } from './keys';
import type { VaultKeys } from './keys';
import { placesOf } from './places';
import { isUnreadable } from './reading';

export class SealedChunks extends Chunks {
  readonly #keys: VaultKeys;
  readonly #disk: CacheDatabase;
  readonly #known: CacheDatabase;
  readonly #clock: () => Timestamp;
  /** What records name and is not on the disk as it should be. */
  #lacking: ReadonlySet<string> = new Set();
  /** Some records do not open, so that what nothing seems to name may be theirs. */
  sparesAll = false;

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

  /** What an interrupted import left is known by its place alone until the same bytes come again. */
  async place(storageKey: string): Promise<string> {
    const own = placesOf(this.#keys.projectId);
    if (storageKey.startsWith(own)) return storageKey;
    return own + (await nameOf(this.#keys, 'chunk', storageKey));
  }

  /** Whether a record of this vault may name it. */
  async has(ref: ChunkRef): Promise<boolean> {
    return (await this.missing([ref])).length === 0;
  }

  /** Whether a record of this vault names it, and it is not whole here. */
  lacks(ref: ChunkRef): boolean {
    return leaves([ref]).some(({ storageKey }) => this.#lacking.has(storageKey));
  }

  protected override async write(
    bytes: ArrayBuffer,
    sha256: string,
    storageKey: string,
    { heldBy, onWritten }: PutOptions = {},
  ): Promise<ChunkRef> {
    const size = bytes.byteLength;
    const place = await this.place(storageKey);
    const { chunkInfo } = this.#known;
    const before = await chunkInfo.get(storageKey);
    const left = await chunkInfo.get(place);
    const holders = [
      ...(before?.heldBy ?? []),
      ...(left?.heldBy ?? []),
      ...(heldBy ? [heldBy] : []),
    ];
    const held = holders.length > 0 && { heldBy: [...new Set(holders)] };
    const sealed =
      left && (await this.#liesAt(place, storageKey, sha256))
        ? null
        : await seal(this.#keys.sealing, this.#identity(storageKey), bytes);
    // Known first: the collector removes what lies on the disk and is not.
    const now = this.#clock();
    await chunkInfo.put({ storageKey, bytes: size, pendingSince: now, ...held });
    try {
      await guarded(`${megabytes(size)} of data`, () =>
        this.#disk.transaction('rw', this.#disk.chunks, this.#disk.chunkInfo, async () => {
          if (sealed) await this.#disk.chunks.put({ storageKey: place, bytes: sealed });
          const bytes = size + SEAL_BYTES;
          // Who holds it is a random name; it tells which chunks came together, as their times do.
          await this.#disk.chunkInfo.put({ storageKey: place, bytes, pendingSince: now, ...held });
        }),
      );
    } catch (error) {
      await (before ? chunkInfo.put(before) : chunkInfo.delete(storageKey));
      throw error;
    }
    if (left) await chunkInfo.delete(place);
    const ref = { sha256, storageKey, bytes: size };
    onWritten?.(ref);
    return ref;
  }

  protected override async read(ref: ChunkRef): Promise<ArrayBuffer> {
    const place = await this.place(ref.storageKey);
    const what = `the data chunk ${ref.sha256.slice(0, 12)} (${megabytes(ref.bytes)})`;
    const about = { storageKey: ref.storageKey, sha256: ref.sha256 };
    const row = await guarded(what, () => this.#disk.chunks.get(place)).catch((error: unknown) => {
      // The record is there and its bytes are not: a file of the profile is gone.
      if (isUnreadable(error)) throw tampered(what, about, 'cannot be read', error);
      throw error;
    });
    if (row === undefined) throw tampered(what, about, 'is missing');
    const identity = this.#identity(ref.storageKey);
    const bytes = await unseal(this.#keys.sealing, identity, row.bytes, what);
    if (bytes.byteLength !== ref.bytes) throw tampered(what, about);
    return bytes;
  }

  /** Whether an interrupted import wrote the same bytes there. */
  async #liesAt(place: string, storageKey: string, sha256: string): Promise<boolean> {
    const row = await guarded('a chunk of data', () => this.#disk.chunks.get(place)).catch(
      (error: unknown) => {
        if (isUnreadable(error)) return undefined;
        throw error;
      },
    );
    if (row === undefined) return false;
    try {
      const bytes = await unseal(this.#keys.sealing, this.#identity(storageKey), row.bytes);
      return (await sha256Hex(bytes)) === sha256;
    } catch (error) {
      if (isTampered(error)) return false;
      throw error;
    }
  }

  override async sweep(
    referenced: KeySet,
    alone: boolean,
    imports: ReadonlySet<Id> = new Set(),
  ): Promise<number> {
    const before = await this.#knownPlaces();
    await super.sweep(referenced, alone, imports);
    const known = await this.#knownPlaces();
    // Another tab may have this vault open too, and be about to name what it wrote just now.
    const garbage = (await this.#onDisk()).filter((info) => {
      if (known.has(info.storageKey)) return false;
      const givenUp = info.heldBy !== undefined && !isHeld(info, imports);
      return givenUp || before.has(info.storageKey) || !this.inGrace(info);
    });
    await this.#remove(garbage.map(({ storageKey }) => storageKey));
    return garbage.reduce((sum, { bytes }) => sum + bytes - SEAL_BYTES, 0);
  }

  override async removeUnder(prefix: string): Promise<void> {
    const { chunkInfo } = this.#known;
    const going = await chunkInfo.where('storageKey').startsWith(prefix).primaryKeys();
    const places = await Promise.all(going.map((key) => this.place(key)));
    await this.#remove(places);
    await chunkInfo.bulkDelete(going);
  }

  /**
   * Starts from what the records name: those that lie on the disk in the right length are known. So is, by its place,
   * what an import holds that may be taken up again.
   */
  async recall(refs: readonly ChunkRef[], imports: ReadonlySet<Id>): Promise<void> {
    const named = new Map(leaves(refs).map((ref) => [ref.storageKey, ref]));
    const stored = new Map((await this.#onDisk()).map((info) => [info.storageKey, info] as const));
    const infos: ChunkInfoRow[] = (await this.list()).filter(
      ({ storageKey, pendingSince }) => pendingSince !== undefined && !stored.has(storageKey),
    );
    const lacking = new Set<string>();
    const places = new Set<string>();
    for (const { storageKey } of infos) places.add(await this.place(storageKey));
    for (const { storageKey, bytes } of named.values()) {
      const place = await this.place(storageKey);
      places.add(place);
      if (stored.get(place)?.bytes === bytes + SEAL_BYTES) infos.push({ storageKey, bytes });
      else lacking.add(storageKey);
    }
    for (const [place, info] of stored) {
      if (places.has(place) || !isHeld(info, imports)) continue;
      infos.push({ ...info, bytes: info.bytes - SEAL_BYTES });
    }
    this.#lacking = lacking;
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
        .filter((info) => !this.sparesAll && !known.has(info.storageKey) && !this.inGrace(info))
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
