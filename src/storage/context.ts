/**
 * What every part of the store shares: the two databases, the clock, and the only ways to write. `publish` is
 * how a manifest comes to disk: its chunks are there, the collector is kept out, and they are settled after.
 */
import type { Table } from 'dexie';
import { AppError } from '../core/errors';
import type { ChunkRef, Id, Timestamp } from '../protocol/entities';
import { Chunks } from './chunks';
import { found, guarded } from './errors';
import { RunLocks, holdLock } from './locks';
import { readManifests, referencedKeys } from './references';
import type { CacheDatabase, CoreDatabase } from './schema';

export class StoreContext {
  readonly name: string;
  readonly core: CoreDatabase;
  readonly cache: CacheDatabase;
  readonly now: () => Timestamp;
  readonly chunks: Chunks;
  readonly runLocks: RunLocks;
  readOnly = false;

  constructor(name: string, core: CoreDatabase, cache: CacheDatabase, now: () => Timestamp) {
    this.name = name;
    this.core = core;
    this.cache = cache;
    this.now = now;
    this.chunks = new Chunks(cache, now);
    this.runLocks = new RunLocks(name);
  }

  assertWritable(): void {
    if (!this.readOnly) return;
    throw new AppError(
      'store/read-only',
      'This browser holds projects written by a newer Terrarium, so nothing is changed here. Reload to get the newer version, or save the project as a file.',
    );
  }

  read<T>(what: string, tables: Table[], body: () => PromiseLike<T>): Promise<T> {
    // Dexie follows native awaits only where the function it is given is itself `async`, here and below.
    return guarded(what, () => this.core.transaction('r', tables, async () => await body()));
  }

  /** One strict transaction. `body` may await nothing but the database. */
  async write<T>(what: string, tables: Table[], body: () => PromiseLike<T>): Promise<T> {
    this.assertWritable();
    return guarded(what, () => this.core.transaction('rw', tables, async () => await body()));
  }

  async publish<T>(
    what: string,
    refs: readonly ChunkRef[],
    tables: Table[],
    body: () => Promise<T>,
  ): Promise<T> {
    this.assertWritable();
    return this.whileNotCollecting('shared', async () => {
      const [missing] = await this.chunks.missing(refs);
      if (missing) {
        throw new AppError(
          'store/missing-chunk',
          `${what} names the data chunk ${missing.sha256.slice(0, 12)}, which is not stored. Import the file again.`,
          { sha256: missing.sha256 },
        );
      }
      const result = await this.write(what, tables, body);
      await this.tidy(this.chunks.settle(refs));
      return result;
    });
  }

  /** `shared` for those who write manifests, `exclusive` for those who remove chunks. Never nested. */
  async whileNotCollecting<T>(mode: LockMode, body: () => Promise<T>): Promise<T> {
    const release = await holdLock(`${this.name}-collector`, { mode });
    try {
      return await body();
    } finally {
      release?.();
    }
  }

  /** Removes what nothing names. The caller holds the collector's lock exclusively. */
  async sweep(alone: boolean): Promise<number> {
    const manifests = await guarded('the list of what is stored', () => readManifests(this.core));
    return this.chunks.sweep(referencedKeys(manifests), alone);
  }

  /** After the fact is saved: clearing up may fail without harm, because the next start does it again. */
  async tidy(work: Promise<unknown>): Promise<void> {
    try {
      await work;
    } catch (error) {
      console.warn('The store could not clear up and will at the next start.', error);
    }
  }

  /** Inside a transaction: the dataset exists and is remembered as used by the project. */
  async link(projectId: Id, datasetId: Id | null): Promise<void> {
    if (datasetId === null) return;
    found(await this.core.datasets.get(datasetId), 'dataset', datasetId);
    await this.core.links.put({ projectId, datasetId });
  }
}
