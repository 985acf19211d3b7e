/**
 * A large record lies in a file of its own, and such a file can be damaged or gone. Chromium then refuses the whole
 * list that the record stands in, and aborts the transaction that asked. Here such a record is found and from then on
 * left alone: the transaction is tried again, the rest is read, and the one is named. It is absent from lists and an
 * error when it is asked for by itself; nothing is collected while one is known, because only it could say what is its.
 */
import { Dexie } from 'dexie';
import type { DBCore, DBCoreMutateRequest, DBCoreTable } from 'dexie';
import { AppError } from '../core/errors';
import { unreadableRecord } from '../protocol/storage';
import type { UnreadableRecord } from '../protocol/storage';
import { causes } from './errors';
import type { StoreMiddleware } from './schema';

/** What reading a value may end with; anything else is the transaction's or the database's trouble. */
const OF_A_VALUE: readonly string[] = [
  'DataError',
  'DataCloneError',
  'NotFoundError',
  'NotReadableError',
  'UnknownError',
];

type Found = Map<string, UnreadableRecord>;
type Transaction = Parameters<DBCoreTable['get']>[0]['trans'];

export class Unreadable {
  readonly #known: Found = new Map();
  readonly #told = new Set<string>();
  readonly #watching = new Set<Found>();
  #count = 0;
  /** Told of each once. */
  onFound: (record: UnreadableRecord) => void = () => undefined;

  /** Does it again where it failed on a record that was not known to be unreadable. */
  async around<T>(work: () => Promise<T>): Promise<T> {
    for (;;) {
      const before = this.#count;
      try {
        return await work();
      } catch (error) {
        if (this.#count === before) throw error;
      }
    }
  }

  /** What `body` met and could not read. */
  async during<T>(body: () => Promise<T>): Promise<[T, readonly UnreadableRecord[]]> {
    const found: Found = new Map();
    this.#watching.add(found);
    try {
      const result = await body();
      return [result, [...found.values()]];
    } finally {
      this.#watching.delete(found);
    }
  }

  readonly middleware: StoreMiddleware = {
    stack: 'dbcore',
    name: 'unreadable',
    create: (down: DBCore) => ({
      ...down,
      // What is sealed is read, and missed, by the vault itself.
      table: (name) => (name === 'sealed' ? down.table(name) : this.#reading(down.table(name))),
    }),
  };

  // Nothing is awaited here: Dexie's transaction follows its own promises only.
  #reading(table: DBCoreTable): DBCoreTable {
    const { name } = table;
    return {
      ...table,
      get: (request) => {
        const known = this.#known.get(nameOf(name, request.key));
        if (known) return Dexie.Promise.reject(unreadableRecord(this.#met(known)));
        return table.get(request).catch((error: unknown): never => {
          if (!isOfAValue(error)) throw error;
          throw unreadableRecord(this.#note(name, request.key), error);
        });
      },
      getMany: (request) =>
        this.#knows(name)
          ? this.#oneByOne(table, request.trans, request.keys)
          : table.getMany(request).catch((error: unknown) => {
              if (!isOfAValue(error)) throw error;
              return this.#oneByOne(table, request.trans, request.keys);
            }),
      query: (request) => {
        const oneByOne = () =>
          table
            .query({ ...request, values: false })
            .then(({ result }) => this.#oneByOne(table, request.trans, result))
            .then((rows) => ({ result: rows.filter((row) => row !== undefined) }));
        if (!request.values) return table.query(request);
        if (this.#knows(name)) return oneByOne();
        return table.query(request).catch((error: unknown) => {
          if (!isOfAValue(error)) throw error;
          return oneByOne();
        });
      },
      mutate: (request) => {
        for (const key of writtenKeys(table, request)) this.#known.delete(nameOf(name, key));
        return table.mutate(request);
      },
    };
  }

  #oneByOne(table: DBCoreTable, trans: Transaction, keys: readonly unknown[]): Promise<unknown[]> {
    const rows = keys.map((key) => {
      const known = this.#known.get(nameOf(table.name, key));
      if (known) {
        this.#met(known);
        return undefined;
      }
      return table.get({ trans, key }).catch((error: unknown) => {
        if (!isOfAValue(error)) throw error;
        this.#note(table.name, key);
        return undefined;
      });
    });
    return Dexie.Promise.all(rows);
  }

  #knows(table: string): boolean {
    return [...this.#known.values()].some((record) => record.table === table);
  }

  #note(table: string, key: unknown): UnreadableRecord {
    const record = { table, key: String(key) };
    const name = nameOf(table, key);
    this.#known.set(name, record);
    this.#count++;
    if (!this.#told.has(name)) this.onFound(record);
    this.#told.add(name);
    return this.#met(record);
  }

  #met(record: UnreadableRecord): UnreadableRecord {
    for (const found of this.#watching) found.set(nameOf(record.table, record.key), record);
    return record;
  }
}

export function isUnreadable(error: unknown): boolean {
  return causes(error).some((one) => one instanceof AppError && one.code === 'store/unreadable');
}

function nameOf(table: string, key: unknown): string {
  return `${table} ${String(key)}`;
}

/** Written over or deleted, a record is no trouble any more. */
function writtenKeys({ schema }: DBCoreTable, request: DBCoreMutateRequest): readonly unknown[] {
  if (request.type === 'deleteRange') return [];
  if (request.type === 'delete') return request.keys;
  const { extractKey } = schema.primaryKey;
  return request.keys ?? request.values.map((value): unknown => extractKey?.(value));
}

function isOfAValue(error: unknown): boolean {
  return causes(error).some((one) => OF_A_VALUE.includes(String(Object(one).name)));
}
