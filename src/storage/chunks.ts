/**
 * Bytes by name. A chunk is written as pending, and settled once a manifest that names it is on disk; what is
 * pending for longer than the grace period, or settled and no longer named, is garbage. What is too large for one
 * record lies in parts, each a chunk of its own, and is one chunk to everybody else.
 */
import { AppError } from '../core/errors';
import { sha256Hex } from '../core/hash';
import type { ChunkRef, Id, Timestamp } from '../protocol/entities';
import { guarded, megabytes } from './errors';
import type { CacheDatabase, ChunkInfoRow } from './schema';

/** How long a chunk may wait for its manifest where no import's journal spares it. */
export const GRACE_MS = 60 * 60 * 1000;

/** What is larger lies in parts of this size. Chromium keeps no value above 127 MB, and large ones block it. */
export const PART_BYTES = 8 * 2 ** 20;

/** Where the bytes really lie. */
export function leaves(refs: readonly ChunkRef[]): readonly ChunkRef[] {
  return refs.flatMap((ref) => ref.parts ?? [ref]);
}

/** What the collector spares. */
export type KeySet = Pick<ReadonlySet<string>, 'has'>;

export interface PutOptions {
  /** The import that the chunk is written for: its journal spares it until it ends. */
  readonly heldBy?: Id | undefined;
  /** Told of each part that is on disk, so that what a failure leaves can be given up. */
  readonly onWritten?: (part: ChunkRef) => void;
}

export class Chunks {
  readonly #cache: CacheDatabase;
  readonly #now: () => Timestamp;
  readonly #partBytes: number;

  constructor(cache: CacheDatabase, now: () => Timestamp, partBytes = PART_BYTES) {
    this.#cache = cache;
    this.#now = now;
    this.#partBytes = partBytes;
  }

  /** Content-addressed: equal bytes have one place and are written once; what is damaged there is healed. */
  put(bytes: ArrayBuffer, options: PutOptions = {}): Promise<ChunkRef> {
    return this.#inParts(bytes, (sha256) => sha256, options);
  }

  /** As one record however large it is, for a reference that was made without parts. */
  async putWhole(bytes: ArrayBuffer): Promise<ChunkRef> {
    const sha256 = await sha256Hex(bytes);
    return this.write(bytes, sha256, sha256);
  }

  /** Into a place of its own, replacing what is there (checkpoint slots); parts lie below it. */
  replace(bytes: ArrayBuffer, storageKey: string): Promise<ChunkRef> {
    const key = (_: string, part: number | null) =>
      part === null ? storageKey : `${storageKey}/${part}`;
    return this.#inParts(bytes, key, {});
  }

  async #inParts(
    bytes: ArrayBuffer,
    keyOf: (sha256: string, part: number | null) => string,
    options: PutOptions,
  ): Promise<ChunkRef> {
    const sha256 = await sha256Hex(bytes);
    const storageKey = keyOf(sha256, null);
    if (bytes.byteLength <= this.#partBytes) return this.write(bytes, sha256, storageKey, options);
    const parts: ChunkRef[] = [];
    for (let at = 0; at < bytes.byteLength; at += this.#partBytes) {
      const part = bytes.slice(at, at + this.#partBytes);
      const hash = await sha256Hex(part);
      parts.push(await this.write(part, hash, keyOf(hash, parts.length), options));
    }
    return { sha256, storageKey, bytes: bytes.byteLength, parts };
  }

  /** A chunk of another store, under the name that it has there. */
  async adopt(ref: ChunkRef, bytes: ArrayBuffer): Promise<void> {
    await this.write(bytes, ref.sha256, ref.storageKey);
  }

  /** One record. A vault seals it on the way. */
  protected async write(
    bytes: ArrayBuffer,
    sha256: string,
    storageKey: string,
    { heldBy, onWritten }: PutOptions = {},
  ): Promise<ChunkRef> {
    const { chunks, chunkInfo } = this.#cache;
    const size = bytes.byteLength;
    await guarded(`${megabytes(size)} of data`, () =>
      this.#cache.transaction('rw', chunks, chunkInfo, async () => {
        const info = await chunkInfo.get(storageKey);
        // One that cannot even be read is as good as none, and written anew.
        const row = await chunks.get(storageKey).catch(() => undefined);
        if (!row || !sameBytes(row.bytes, bytes)) await chunks.put({ storageKey, bytes });
        const holders = heldBy === undefined ? [] : [heldBy];
        const held = [...new Set([...(info?.heldBy ?? []), ...holders])];
        await chunkInfo.put({
          storageKey,
          bytes: size,
          pendingSince: this.#now(),
          ...(held.length > 0 && { heldBy: held }),
        });
      }),
    );
    const ref = { sha256, storageKey, bytes: size };
    onWritten?.(ref);
    return ref;
  }

  /** The bytes, whose hash has been checked. `store/corrupt` names the chunk, and the part of it. */
  async get(ref: ChunkRef): Promise<ArrayBuffer> {
    if (ref.parts === undefined) {
      const bytes = await this.read(ref);
      if ((await sha256Hex(bytes)) !== ref.sha256) throw corrupt(ref, 'does not match its hash');
      return bytes;
    }
    const whole = new Uint8Array(ref.bytes);
    let at = 0;
    for (const part of ref.parts) {
      if (at + part.bytes > ref.bytes) throw corrupt(ref, 'has the wrong length');
      whole.set(new Uint8Array(await this.read(part)), at);
      at += part.bytes;
    }
    if (at !== ref.bytes) throw corrupt(ref, 'has the wrong length');
    if ((await sha256Hex(whole)) === ref.sha256) return whole.buffer;
    // Hashed once where all is well; the parts' own hashes say which of them is not.
    for (const part of ref.parts) await this.get(part);
    throw corrupt(ref, 'does not match its hash');
  }

  protected async read(ref: ChunkRef): Promise<ArrayBuffer> {
    const bytes = await this.lying(ref.storageKey).catch((error: unknown) => {
      // The record is there and its bytes are not: a file of the profile is gone.
      if (error instanceof AppError && error.code === 'store/failed')
        throw corrupt(ref, 'cannot be read', error);
      throw error;
    });
    if (bytes === null) throw corrupt(ref, 'is missing');
    if (bytes.byteLength !== ref.bytes) throw corrupt(ref, 'has the wrong length');
    return bytes;
  }

  /** Whatever lies in that place; null where nothing does. */
  async lying(storageKey: string): Promise<ArrayBuffer | null> {
    const row = await guarded('a chunk of data', () => this.#cache.chunks.get(storageKey));
    return row?.bytes ?? null;
  }

  /** Those places of `refs` where nothing lies, by length alone. */
  async missing(refs: readonly ChunkRef[]): Promise<readonly ChunkRef[]> {
    const places = leaves(refs);
    const infos = await guarded('a list of chunks', () =>
      this.#cache.chunkInfo.bulkGet(places.map((ref) => ref.storageKey)),
    );
    return places.filter((ref, index) => infos[index]?.bytes !== ref.bytes);
  }

  /** A manifest on disk names these now. */
  async settle(refs: readonly ChunkRef[]): Promise<void> {
    const keys = [...new Set(leaves(refs).map((ref) => ref.storageKey))];
    await this.#editInfo(keys, ({ storageKey, bytes }) => ({ storageKey, bytes }));
  }

  /** Gives up what was written and will not be named; another import that wrote the same still holds it. */
  async release(refs: readonly ChunkRef[], heldBy?: Id): Promise<void> {
    const keys = [...new Set(leaves(refs).map((ref) => ref.storageKey))];
    await this.#editInfo(keys, (info) =>
      without(info, new Set(heldBy === undefined ? [] : [heldBy])),
    );
  }

  /** Lets go of everything that the imports held. */
  async releaseHeld(imports: ReadonlySet<Id>): Promise<void> {
    const keys = (await this.list())
      .filter((info) => isHeld(info, imports))
      .map(({ storageKey }) => storageKey);
    await this.#editInfo(keys, (info) => without(info, imports));
  }

  async #editInfo(
    keys: readonly string[],
    edit: (info: ChunkInfoRow) => ChunkInfoRow,
  ): Promise<void> {
    if (keys.length === 0) return;
    const { chunkInfo } = this.#cache;
    await guarded('the list of chunks', () =>
      this.#cache.transaction('rw', chunkInfo, async () => {
        const infos = (await chunkInfo.bulkGet([...keys])).filter((info) => info !== undefined);
        await chunkInfo.bulkPut(infos.map(edit));
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
   * manifest appears meanwhile. With `alone` no writer lives, and nothing pending is spared but what one of
   * `imports` holds.
   */
  async sweep(
    referenced: KeySet,
    alone: boolean,
    imports: ReadonlySet<Id> = new Set(),
  ): Promise<number> {
    const { chunks, chunkInfo } = this.#cache;
    return guarded('the removal of unused data', () =>
      this.#cache.transaction('rw', chunks, chunkInfo, async () => {
        const infos = await chunkInfo.toArray();
        const garbage = infos.filter(
          (info) =>
            !referenced.has(info.storageKey) &&
            !isHeld(info, imports) &&
            (alone || !this.inGrace(info)),
        );
        const keys = garbage.map((info) => info.storageKey);
        // An empty deletion would still be a write, which a full disk may refuse.
        if (keys.length === 0) return 0;
        await chunks.bulkDelete(keys);
        await chunkInfo.bulkDelete(keys);
        return garbage.reduce((sum, info) => sum + info.bytes, 0);
      }),
    );
  }

  /** All that lies below a place of its own, whoever may name it. */
  async removeUnder(prefix: string): Promise<void> {
    const { chunks, chunkInfo } = this.#cache;
    await guarded('the removal of a checkpoint', () =>
      this.#cache.transaction('rw', chunks, chunkInfo, async () => {
        await chunks.where('storageKey').startsWith(prefix).delete();
        await chunkInfo.where('storageKey').startsWith(prefix).delete();
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

/** An import that is under way, or may be taken up again, wrote it. */
export function isHeld({ heldBy = [] }: ChunkInfoRow, imports: ReadonlySet<Id>): boolean {
  return heldBy.some((id) => imports.has(id));
}

/** The entry without these holders; with none left it waits for no manifest. */
function without(info: ChunkInfoRow, imports: ReadonlySet<Id>): ChunkInfoRow {
  const { storageKey, bytes, heldBy = [] } = info;
  const others = heldBy.filter((id) => !imports.has(id));
  return others.length === 0 ? { storageKey, bytes } : { ...info, heldBy: others };
}

function sameBytes(a: ArrayBuffer, b: ArrayBuffer): boolean {
  if (a.byteLength !== b.byteLength) return false;
  const whole = a.byteLength & ~3;
  return (
    equal(new Uint32Array(a, 0, whole / 4), new Uint32Array(b, 0, whole / 4)) &&
    equal(new Uint8Array(a, whole), new Uint8Array(b, whole))
  );
}

function equal(a: Uint32Array | Uint8Array, b: Uint32Array | Uint8Array): boolean {
  for (let index = 0; index < a.length; index++) if (a[index] !== b[index]) return false;
  return true;
}

function corrupt(ref: ChunkRef, how: string, cause?: unknown): AppError {
  return new AppError(
    'store/corrupt',
    `The stored data chunk ${ref.sha256.slice(0, 12)} (${megabytes(ref.bytes)}) ${how}. Import the file it came from again, or open a saved project file.`,
    { storageKey: ref.storageKey, sha256: ref.sha256, bytes: ref.bytes },
    cause,
  );
}
