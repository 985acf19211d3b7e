/**
 * What can be read of a store that does not open: its databases as they are, without an upgrade and without a write,
 * into a store in memory that saves them as a file. Bytes are read one by one while the file is written.
 */
import type { Table } from 'dexie';
import { AppError } from '../core/errors';
import type { Exported } from '../protocol/backup';
import type { Timestamp } from '../protocol/entities';
import type { OnProgress } from '../protocol/progress';
import { describeRecord } from '../protocol/storage';
import type { UnreadableRecord } from '../protocol/storage';
import { Calls } from './backup/calls';
import { exportTo } from './backup/export';
import { blobSink } from './backup/sinks';
import { Chunks } from './chunks';
import { StoreContext } from './context';
import { guarded } from './errors';
import type { CacheDatabase, CoreDatabase } from './schema';
import { createImage } from './vault/image';

const PATIENCE_MS = 10_000;

export async function salvage(
  databases: string,
  now: () => Timestamp,
  onProgress: OnProgress,
): Promise<Exported> {
  const core = await openAsItIs(`${databases}-core`).catch((error: unknown) => {
    throw nothingReads(error);
  });
  // Without it there are the records, and the file says that the data are missing.
  const cache = await openAsItIs(`${databases}-cache`).catch(() => null);
  const image = await createImage(`${databases}-salvage`);
  const context = new SalvageContext(`${databases}-salvage`, image, cache, now);
  try {
    const lost: UnreadableRecord[] = [];
    for (const table of image.core.tables) lost.push(...(await copyTable(core, table)));
    if (cache) lost.push(...(await copyTable(cache, image.cache.table('chunkInfo'))));
    if ((await image.core.projects.count()) + (await image.core.vaults.count()) === 0)
      throw nothingReads(new Error('no project is in them'));
    const request = { projects: 'all', withData: true, withTrash: true } as const;
    const sink = () => Promise.resolve(blobSink());
    const exported = await new Calls().run(databases, (call) =>
      exportTo(context, request, sink, call, onProgress),
    );
    const lines = lost.map((record) => `${describeRecord(record)}: its record cannot be read`);
    return { ...exported, leftOut: [...exported.leftOut, ...lines] };
  } finally {
    context.close();
    image.close();
    for (const database of [core, cache]) database?.close();
  }
}

class SalvageContext extends StoreContext {
  override readonly chunks: SalvagedChunks;

  constructor(
    name: string,
    image: { readonly core: CoreDatabase; readonly cache: CacheDatabase },
    disk: IDBDatabase | null,
    now: () => Timestamp,
  ) {
    super(name, image.core, image.cache, now);
    this.chunks = new SalvagedChunks(image.cache, disk, now);
    this.ledger = null;
    this.readOnly = true;
  }
}

/** Lengths are in memory, bytes on the disk. */
class SalvagedChunks extends Chunks {
  readonly #disk: IDBDatabase | null;

  constructor(cache: CacheDatabase, disk: IDBDatabase | null, now: () => Timestamp) {
    super(cache, now);
    this.#disk = disk;
  }

  override async lying(storageKey: string): Promise<ArrayBuffer | null> {
    const disk = this.#disk;
    if (!disk) return null;
    const row = await guarded('a chunk of data', () =>
      asked(disk.transaction('chunks').objectStore('chunks').get(storageKey)),
    );
    const { bytes } = Object(row) as { readonly bytes?: unknown };
    return bytes instanceof ArrayBuffer ? bytes : null;
  }
}

/** At the version that it has. One that is not there is not made. */
async function openAsItIs(name: string): Promise<IDBDatabase> {
  return new Promise((resolve, reject) => {
    const request = indexedDB.open(name);
    const late = setTimeout(() => reject(new Error('it does not answer')), PATIENCE_MS);
    request.onupgradeneeded = () => request.transaction?.abort();
    request.onerror = () => {
      clearTimeout(late);
      reject(request.error ?? new Error('it gives no reason'));
    };
    request.onsuccess = () => {
      clearTimeout(late);
      const database = request.result;
      database.onversionchange = () => database.close();
      resolve(database);
    };
  });
}

/** As much as can be read of it; what cannot is returned. */
async function copyTable(
  database: IDBDatabase,
  table: Table,
): Promise<readonly UnreadableRecord[]> {
  const { name } = table;
  if (!database.objectStoreNames.contains(name)) return [];
  const rowsOf = () => database.transaction(name).objectStore(name);
  const lost: UnreadableRecord[] = [];
  try {
    await table.bulkPut(await asked(rowsOf().getAll()));
    return lost;
  } catch (error) {
    console.warn(`Not all of ${name} can be read at once.`, error);
  }
  for (const key of await asked(rowsOf().getAllKeys())) {
    try {
      await table.put(await asked(rowsOf().get(key)));
    } catch (error) {
      console.warn('A record cannot be read.', error);
      lost.push({ table: name, key: String(key) });
    }
  }
  return lost;
}

function asked<T>(request: IDBRequest<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error ?? new Error('it gives no reason'));
  });
}

function nothingReads(cause: unknown): AppError {
  const why = cause instanceof Error && cause.message !== '' ? cause.message : String(cause);
  return new AppError(
    'store/nothing-reads',
    `Nothing can be read at the moment: the browser does not open the files of the storage (${why}). Nothing was changed or deleted, and no file was saved. Restart the browser or make room on the disk, and try again.`,
    {},
    cause,
  );
}
