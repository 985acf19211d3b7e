/**
 * Crash points, one by one. A script of calls runs again and again, and each time the next write to IndexedDB
 * fails: with a full disk, with an aborted transaction, or for good, as when the browser is killed. After each
 * the store is opened anew, must be sound, and must hold all that was acknowledged.
 */
import type { DBCoreMutateRequest } from 'dexie';
import { expect, vi } from 'vitest';
import { AppError } from '../../../src/core/errors';
import type { StoreMiddleware } from '../../../src/storage/schema';
import type { Store } from '../../../src/storage/store';
import { createStoreApi } from '../../../src/storage/store';
import { LEAST } from '../../../src/storage/vault/passphrase';
import { deleteStore, freshName } from './fixtures';

export type Fault = 'quota' | 'abort' | 'unknown' | 'killed';

const NAMES: Readonly<Record<Fault, string>> = {
  quota: 'QuotaExceededError',
  abort: 'AbortError',
  unknown: 'UnknownError',
  killed: 'AbortError',
};

/** Fails the write number `failAt`; a killed browser fails all that follow too. */
export class FaultyDisk {
  armed = false;
  writes = 0;
  readonly #failAt: number;
  readonly #fault: Fault;

  constructor(failAt: number, fault: Fault) {
    this.#failAt = failAt;
    this.#fault = fault;
  }

  get failed(): boolean {
    return this.writes >= this.#failAt;
  }

  readonly middleware: StoreMiddleware = {
    stack: 'dbcore',
    name: 'faulty-disk',
    create: (down) => ({
      ...down,
      table: (name) => {
        const table = down.table(name);
        return {
          ...table,
          mutate: (request) => {
            if (!this.#fails()) return table.mutate(request);
            return this.#fail(request);
          },
        };
      },
    }),
  };

  #fails(): boolean {
    if (!this.armed) return false;
    this.writes += 1;
    return this.#fault === 'killed' ? this.failed : this.writes === this.#failAt;
  }

  #fail(request: DBCoreMutateRequest): Promise<never> {
    const name = NAMES[this.#fault];
    if (this.#fault === 'abort') (request.trans as IDBTransaction).abort();
    return Promise.reject(new DOMException(`A fault was put in: ${this.#fault}.`, name));
  }
}

/** What the outside world was told: each entry checks one promise against the reopened store. */
export type Promises = Map<string, (store: Store) => Promise<void>>;
export type Script = (store: Store, promises: Promises) => Promise<void>;
export type Setup<T> = (store: Store) => Promise<T>;

/** Runs the script with a fault at every write in turn, until one run meets none. Returns how many there were. */
export async function everyCrashPoint<T>(
  fault: Fault,
  setup: Setup<T>,
  script: (prepared: T) => Script,
): Promise<number> {
  for (let failAt = 1; ; failAt++) {
    const name = freshName();
    const disk = new FaultyDisk(failAt, fault);
    const store = createStoreApi({ name, middleware: disk.middleware, passphraseCost: LEAST });
    await store.open();
    const prepared = await setup(store);
    const promises: Promises = new Map();
    disk.armed = true;
    try {
      await script(prepared)(store, promises);
    } catch (error) {
      if (!(error instanceof AppError)) throw error;
      expect(disk.failed, error.message).toBe(true);
      if (fault === 'quota') {
        expect(error).toMatchObject({ code: 'store/quota', data: { usage: expect.any(Number) } });
      } else {
        expect(error.code).toMatch(/^store\//);
      }
    }
    store.close();
    const reopened = createStoreApi({ name });
    await reopened.open();
    const place = `${fault} at write ${failAt}`;
    expect(await reopened.verify(), place).toEqual([]);
    for (const check of promises.values()) await check(reopened);
    expect(await reopened.collectGarbage(), place).toBe(0);
    reopened.close();
    await deleteStore(name);
    if (disk.writes < failAt) return disk.writes;
  }
}

/** Dexie and the store report each fault on the console, hundreds of times. */
export function quietConsole(): void {
  for (const level of ['warn', 'error', 'trace'] as const) {
    vi.spyOn(console, level).mockImplementation(() => undefined);
  }
}
