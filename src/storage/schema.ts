/**
 * The two databases of the store. `core` holds manifests, records and pointers and commits to disk before it
 * acknowledges (strict); `cache` holds the bytes that they name (relaxed). A chunk is written and hashed before
 * the manifest that names it, so a crash leaves bytes without a manifest, never a manifest without bytes.
 */
import { Dexie } from 'dexie';
import type { DBCore, EntityTable, Middleware, Table } from 'dexie';
import { AppError } from '../core/errors';
import type {
  Checkpoint,
  ChunkRef,
  DataSource,
  DatasetVersion,
  Evaluation,
  Id,
  ModelVersion,
  Project,
  Run,
  Timestamp,
} from '../protocol/entities';
import type { PretrainedModel } from '../protocol/pretrained';
import type { VaultRow } from '../protocol/vault';

/** Raised with every change of a table; a store that finds a higher number on disk only reads. */
export const SCHEMA_VERSION = 3;

export type Slot = 'A' | 'B';

/** Which slot counts. The other one's bytes may be half overwritten at any moment. */
export interface CheckpointRow {
  readonly runId: Id;
  readonly current: Slot;
  readonly slots: Readonly<Partial<Record<Slot, Checkpoint>>>;
}

export interface EvaluationRow extends Evaluation {
  /** null where the project file left the rows out. */
  readonly predictions: ChunkRef | null;
}

/** A project once used this dataset: it goes when the last such project is erased, not before (undo needs it). */
export interface DatasetLink {
  readonly projectId: Id;
  readonly datasetId: Id;
}

export interface SettingRow {
  readonly key: string;
  readonly value: unknown;
}

export interface ChunkRow {
  readonly storageKey: string;
  readonly bytes: ArrayBuffer;
}

/** The journal of a chunk. `pendingSince` is set while no manifest names it yet: a write in progress. */
export interface ChunkInfoRow {
  readonly storageKey: string;
  readonly bytes: number;
  readonly pendingSince?: Timestamp;
  /** The imports (ImportRow) that wrote it. It counts as long as one of them is open. */
  readonly heldBy?: readonly Id[];
}

/** Answers of a frozen body to all rows of a dataset: made anew at any time, so no record names them. */
export interface FeaturesRow {
  readonly key: string;
  readonly bytes: ArrayBuffer;
}

/** Beside them, so that what is there and when it was used is known without reading it. */
export interface FeatureInfoRow {
  readonly key: string;
  readonly size: number;
  readonly usedAt: Timestamp;
}

/**
 * The journal of an import under way: what a crash leaves of it is offered again or discarded. Its chunks name it
 * (ChunkInfoRow.heldBy) in the very write that brings them, so the journal costs two strict writes, not one a chunk.
 */
export interface ImportRow {
  readonly id: Id;
  readonly startedAt: Timestamp;
  readonly source: DataSource;
  /** Of the file, where it is known. */
  readonly bytes: number | null;
  /** The locked project that it goes into. */
  readonly into?: Id;
}

/** Counts the claims on a project: a transaction of a writer that was overtaken finds a higher number, and aborts. */
export interface WriterRow {
  readonly projectId: Id;
  readonly epoch: number;
  readonly since: Timestamp;
}

/** A record of a locked project: iv and ciphertext of its canonical JSON. `key` tells nothing about it. */
export interface SealedRow {
  readonly projectId: Id;
  readonly key: string;
  readonly bytes: ArrayBuffer;
}

export interface CoreDatabase extends Dexie {
  datasets: EntityTable<DatasetVersion, 'id'>;
  links: Table<DatasetLink, [Id, Id]>;
  projects: EntityTable<Project, 'id'>;
  runs: EntityTable<Run, 'id'>;
  checkpoints: EntityTable<CheckpointRow, 'runId'>;
  models: EntityTable<ModelVersion, 'id'>;
  evaluations: EntityTable<EvaluationRow, 'id'>;
  settings: EntityTable<SettingRow, 'key'>;
  /** Since version 2. */
  pretrained: EntityTable<PretrainedModel, 'id'>;
  /** These four since version 3. */
  imports: EntityTable<ImportRow, 'id'>;
  writers: EntityTable<WriterRow, 'projectId'>;
  vaults: EntityTable<VaultRow, 'projectId'>;
  sealed: Table<SealedRow, [Id, string]>;
}

export interface CacheDatabase extends Dexie {
  chunks: EntityTable<ChunkRow, 'storageKey'>;
  chunkInfo: EntityTable<ChunkInfoRow, 'storageKey'>;
  /** Since version 2. */
  features: EntityTable<FeaturesRow, 'key'>;
  featureInfo: EntityTable<FeatureInfoRow, 'key'>;
}

/** Sits between Dexie and IndexedDB. Tests put faults in with it. */
export type StoreMiddleware = Middleware<DBCore>;

/** Stands in for the browser's, for what may not touch the disk. */
export interface MemoryIndexedDB {
  readonly indexedDB: IDBFactory;
  readonly IDBKeyRange: typeof IDBKeyRange;
}

export function createCoreDatabase(
  name: string,
  middleware?: StoreMiddleware,
  memory?: MemoryIndexedDB,
): CoreDatabase {
  const core = connection(`${name}-core`, 'strict', middleware, memory) as CoreDatabase;
  core.version(1).stores({
    datasets: 'id',
    links: '[projectId+datasetId], projectId, datasetId',
    projects: 'id',
    runs: 'id, projectId, status',
    checkpoints: 'runId',
    models: 'id, projectId',
    evaluations: 'id, projectId',
    settings: 'key',
  });
  core.version(2).stores({ pretrained: 'id' });
  core.version(SCHEMA_VERSION).stores({
    imports: 'id',
    writers: 'projectId',
    vaults: 'projectId',
    sealed: '[projectId+key], projectId',
  });
  return core;
}

export function createCacheDatabase(
  name: string,
  middleware?: StoreMiddleware,
  memory?: MemoryIndexedDB,
): CacheDatabase {
  const cache = connection(`${name}-cache`, 'relaxed', middleware, memory) as CacheDatabase;
  cache.version(1).stores({ chunks: 'storageKey', chunkInfo: 'storageKey' });
  cache.version(2).stores({ features: 'key', featureInfo: 'key, usedAt' });
  // Nothing new: both databases carry the same number.
  cache.version(SCHEMA_VERSION).stores({});
  return cache;
}

/**
 * Dexie adds what a database on disk lacks by raising its version on its own. On a schema of a newer build that
 * would be a write, so only the version of this code, or whatever is there, may be opened.
 */
const unpatched = {
  open(name: string, version?: number): IDBOpenDBRequest {
    if (version === undefined) return indexedDB.open(name);
    if (version === SCHEMA_VERSION * 10) return indexedDB.open(name, version);
    throw new AppError(
      'store/unknown-schema',
      'This browser holds projects of another version of Terrarium, in a form that this version cannot read. Nothing was changed; reload the page to get the newer version.',
      { name },
    );
  },
  deleteDatabase: (name: string) => indexedDB.deleteDatabase(name),
  databases: () => indexedDB.databases(),
  cmp: (a: unknown, b: unknown) => indexedDB.cmp(a, b),
};

function connection(
  name: string,
  durability: 'strict' | 'relaxed',
  middleware: StoreMiddleware | undefined,
  memory: MemoryIndexedDB | undefined,
): Dexie {
  // Without autoOpen a connection that a newer build closed stays closed, instead of writing to its schema.
  const database = new Dexie(name, {
    chromeTransactionDurability: durability,
    autoOpen: false,
    ...(memory ?? { indexedDB: unpatched }),
  });
  if (middleware) database.use(middleware);
  return database;
}

/** Version on disk, which may be higher than the code's: Dexie opens such a database without a word. */
export function versionOnDisk(database: Dexie): number {
  // Dexie stores its versions times ten.
  return database.backendDB().version / 10;
}
