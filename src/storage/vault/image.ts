/**
 * What an open vault decrypted, as a database in memory: the store's own code reads and writes it in Dexie transactions,
 * which could not wait for WebCrypto. Which records a transaction changed is noted on the way.
 */
import type { DBCore, DBCoreMutateRequest, DBCoreTable } from 'dexie';
import { createCacheDatabase, createCoreDatabase } from '../schema';
import type { CacheDatabase, CoreDatabase, StoreMiddleware } from '../schema';

/** The tables of `core` whose records are sealed; the rest of them lies in the open or is not a project's. */
export const SEALED_TABLES = [
  'datasets',
  'links',
  'projects',
  'runs',
  'checkpoints',
  'models',
  'evaluations',
  'imports',
] as const;

export type SealedTable = (typeof SEALED_TABLES)[number];

/** A primary key: an id, or the pair of a link. */
export type RowKey = string | readonly string[];

export interface Changed {
  readonly table: SealedTable;
  readonly key: RowKey;
}

export interface Image {
  readonly core: CoreDatabase;
  /** Lengths of chunks by their own keys, and nothing else: their bytes lie sealed on the disk. */
  readonly cache: CacheDatabase;
  /** What was changed since it was last asked. */
  takeChanges(): readonly Changed[];
  close(): void;
}

export async function createImage(name: string): Promise<Image> {
  const { IDBFactory, IDBKeyRange } = await import('fake-indexeddb');
  const memory = { indexedDB: new IDBFactory(), IDBKeyRange };
  const changes = new Changes();
  const core = createCoreDatabase(name, changes.middleware, memory);
  const cache = createCacheDatabase(name, undefined, memory);
  await Promise.all([core.open(), cache.open()]);
  return {
    core,
    cache,
    takeChanges: () => changes.take(),
    close() {
      core.close();
      cache.close();
    },
  };
}

class Changes {
  #changed = new Map<string, Changed>();

  take(): readonly Changed[] {
    const taken = [...this.#changed.values()];
    this.#changed = new Map();
    return taken;
  }

  readonly middleware: StoreMiddleware = {
    stack: 'dbcore',
    name: 'changes',
    create: (down: DBCore) => ({
      ...down,
      table: (name) => {
        const table = down.table(name);
        const sealed = SEALED_TABLES.find((one) => one === name);
        return sealed === undefined ? table : this.#noting(sealed, table);
      },
    }),
  };

  #noting(name: SealedTable, table: DBCoreTable): DBCoreTable {
    return {
      ...table,
      mutate: (request) => {
        const note = (keys: readonly RowKey[]) => {
          for (const key of keys) {
            this.#changed.set(JSON.stringify([name, key]), { table: name, key });
          }
          return table.mutate(request);
        };
        // Nothing is awaited where it need not be: Dexie's transaction is that of the synchronous caller.
        if (request.type !== 'deleteRange') return note(keysOf(table, request));
        const { trans, range } = request;
        const query = { index: table.schema.primaryKey, range };
        return table
          .query({ trans, values: false, query })
          .then(({ result }) => note(result as RowKey[]));
      },
    };
  }
}

function keysOf(
  { schema }: DBCoreTable,
  request: Exclude<DBCoreMutateRequest, { readonly type: 'deleteRange' }>,
): readonly RowKey[] {
  if (request.type === 'delete') return request.keys as RowKey[];
  const { extractKey } = schema.primaryKey;
  const keys: unknown[] =
    request.keys ?? request.values.map((value) => extractKey?.(value) as unknown);
  return keys as RowKey[];
}
