/**
 * What every part of the store shares: the two databases, the clock, and the only ways to write. `publish` is
 * how a manifest comes to disk: its chunks are there, the collector is kept out, and they are settled after.
 */
import type { Table } from 'dexie';
import { AppError } from '../core/errors';
import type { ChunkRef, Id, Timestamp } from '../protocol/entities';
import { changesChannel } from '../protocol/tabs';
import type { StoreChange } from '../protocol/tabs';
import { Chunks } from './chunks';
import { Claims, assertEpoch } from './claims';
import type { Holder } from './claims';
import { found, guarded } from './errors';
import { ImportLocks } from './import-locks';
import { Ledger } from './ledger';
import { holdLock } from './locks';
import { isIntact } from './intact';
import { readManifests, referencedKeys, storedDatasetChunks } from './references';
import type { Manifests } from './references';
import type { CacheDatabase, CoreDatabase } from './schema';
import { Unreadable } from './unreadable';
import { vaultOfPlace } from './vault/places';
import type { Witness } from './witness';

export class StoreContext {
  readonly name: string;
  readonly core: CoreDatabase;
  readonly cache: CacheDatabase;
  readonly now: () => Timestamp;
  readonly chunks: Chunks;
  readonly claims: Claims;
  readonly importLocks: ImportLocks;
  readonly unreadable = new Unreadable();
  /** null where what is written is not what lies on the disk. */
  ledger: Ledger | null;
  readonly #changes: BroadcastChannel;
  readOnly = false;
  /** Room kept back for a checkpoint on a full disk; none unless the store says so. */
  ballastBytes = 0;
  /** Remembers elsewhere what was saved; none in tests without a worker. */
  witness: Witness | null = null;
  /** The browser lost the records that named the bytes: these stay until the person knows. */
  sparesAll = false;

  constructor(
    name: string,
    core: CoreDatabase,
    cache: CacheDatabase,
    now: () => Timestamp,
    partBytes?: number,
  ) {
    this.name = name;
    this.core = core;
    this.cache = cache;
    this.now = now;
    core.use(this.unreadable.middleware);
    this.chunks = new Chunks(cache, now, partBytes);
    this.ledger = new Ledger(core);
    this.importLocks = new ImportLocks(name);
    this.#changes = new BroadcastChannel(changesChannel(name));
    this.claims = new Claims(name, core, this.unreadable, now, (change) => this.tell(change));
  }

  /** Records of a locked project that do not open, in words. What lies in the open has no seal to tell. */
  get damagedRecords(): readonly string[] {
    return [];
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
    return guarded(what, () =>
      this.unreadable.around(() => this.core.transaction('r', tables, async () => await body())),
    );
  }

  /** One strict transaction. `body` may await nothing but the database. */
  async write<T>(what: string, tables: Table[], body: () => PromiseLike<T>): Promise<T> {
    this.assertWritable();
    return this.transact(what, tables, body);
  }

  /** The transaction itself, counted where it saves somebody's work. */
  async transact<T>(what: string, tables: Table[], body: () => PromiseLike<T>): Promise<T> {
    const { core, ledger, unreadable } = this;
    const transaction = <R>(all: Table[], work: () => PromiseLike<R>) =>
      guarded(what, () =>
        unreadable.around(() => core.transaction('rw', all, async () => await work())),
      );
    if (!ledger?.counts(tables)) return transaction(tables, body);
    const all = [...new Set([core.settings, ...tables])];
    const [result, mark] = await transaction(all, () => ledger.counted(tables, body));
    this.witness?.note(mark);
    ledger.onCounted(mark);
    return result;
  }

  /**
   * The only way to write what belongs to a project: one strict transaction of the project's one writer. It claims
   * the project for the time where nobody has, and aborts with `store/moved` where another tab took it over.
   */
  async writeProject<T>(
    projectId: Id,
    what: string,
    tables: Table[],
    body: () => PromiseLike<T>,
  ): Promise<T> {
    return this.whileHeld(projectId, Symbol(what), async (epoch) => {
      const result = await this.write(
        what,
        [...new Set([this.core.writers, ...tables])],
        async () => {
          await assertEpoch(this.core, projectId, epoch);
          return body();
        },
      );
      this.#written(projectId, tables);
      return result;
    });
  }

  /** The first records of a project that nobody can know yet. */
  async writeNewProject<T>(
    projectId: Id,
    what: string,
    tables: Table[],
    body: () => PromiseLike<T>,
  ): Promise<T> {
    const { writers } = this.core;
    const result = await this.write(what, [...new Set([writers, ...tables])], async () => {
      // From the clock: one that was erased and came back from a file must not count what was counted before.
      const now = this.now();
      await writers.add({ projectId, epoch: now, since: now });
      return body();
    });
    this.#written(projectId, tables);
    return result;
  }

  /** Does `work` as the project's writer, with the epoch of its claim. */
  async whileHeld<T>(
    projectId: Id,
    holder: Holder,
    work: (epoch: number) => Promise<T>,
  ): Promise<T> {
    this.assertWritable();
    const epoch = await this.claims.hold(projectId, holder);
    try {
      return await work(epoch);
    } catch (error) {
      if (error instanceof AppError && error.code === 'store/moved') this.claims.lose(projectId);
      throw error;
    } finally {
      this.claims.let(projectId, holder);
    }
  }

  /** Tells the other tabs, and this one's page. */
  tell(change: StoreChange): void {
    this.#changes.postMessage(change);
  }

  #written(projectId: Id, tables: readonly Table[]): void {
    this.tell({ type: 'written', projectId, tables: tables.map(({ name }) => name) });
  }

  close(): void {
    this.importLocks.releaseAll();
    this.claims.close();
  }

  /** With `write` a manifest's records; its chunks are there, and the collector is kept out meanwhile. */
  async publish<T>(what: string, refs: readonly ChunkRef[], write: () => Promise<T>): Promise<T> {
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
      const result = await write();
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
    if (this.sparesAll) return 0;
    const what = 'the list of what is stored';
    const imports = await guarded(what, () => this.core.imports.toCollection().primaryKeys());
    const [manifests, unreadable] = await this.unreadable.during(() =>
      this.read(what, this.core.tables, () => readManifests(this.core)),
    );
    // Only the record itself could say which bytes are its own.
    if (unreadable.length > 0 || (await this.#misread(manifests))) return 0;
    const vaults = new Set(
      await guarded(what, () => this.core.vaults.toCollection().primaryKeys()),
    );
    const named = referencedKeys(manifests);
    // Only a vault itself knows what its records name; of one that was erased nothing stays.
    const spared = {
      has: (key: string) => named.has(key) || vaults.has(vaultOfPlace(key) ?? ''),
    };
    return this.chunks.sweep(spared, alone, new Set(imports));
  }

  /** Whether a dataset names bytes that are not there because its record was damaged, and so not its own. */
  async #misread({ datasets }: Manifests): Promise<boolean> {
    for (const dataset of datasets) {
      const missing = await this.chunks.missing(storedDatasetChunks(dataset));
      if (missing.length > 0 && !(await isIntact(dataset))) return true;
    }
    return false;
  }

  /** Bytes of a manifest to come. What a failure leaves of them goes at once: a full disk needs the room. */
  async keepBytes(bytes: ArrayBuffer, heldBy?: Id): Promise<ChunkRef> {
    const written: ChunkRef[] = [];
    try {
      return await this.chunks.put(bytes, { heldBy, onWritten: (part) => written.push(part) });
    } catch (error) {
      if (written.length > 0) await this.tidy(this.discard(written, heldBy));
      throw error;
    }
  }

  /** Frees what nothing else names. */
  async discard(refs: readonly ChunkRef[], heldBy?: Id): Promise<void> {
    await this.chunks.release(refs, heldBy);
    await this.whileNotCollecting('exclusive', () => this.sweep(false));
  }

  /** After the fact is saved: clearing up may fail without harm, because the next start does it again. */
  async tidy(work: Promise<unknown>): Promise<void> {
    try {
      await work;
    } catch (error) {
      console.warn('The store could not clear up and will at the next start.', error);
    }
  }

  /** Of a project that is being made. */
  newProjectId(): Id {
    return crypto.randomUUID();
  }

  /** Inside a transaction: the dataset exists and is remembered as used by the project. */
  async link(projectId: Id, datasetId: Id | null): Promise<void> {
    if (datasetId === null) return;
    found(await this.core.datasets.get(datasetId), 'dataset', datasetId);
    await this.core.links.put({ projectId, datasetId });
  }
}
