/** What lies in the studio's databases, read and written past the studio from a page of its origin. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Page } from 'playwright-core';

export type Part = 'core' | 'cache';

/** null where there is no such database: asking for it must not make one. */
export function rowsOf(
  page: Page,
  part: Part,
  table: string,
): Promise<readonly Record<string, unknown>[] | null> {
  return page.evaluate(
    async ([name, store]) => {
      const there = (await indexedDB.databases()).some((database) => database.name === name);
      if (!there) return null;
      const database = await new Promise<IDBDatabase>((resolve, reject) => {
        const request = indexedDB.open(name);
        request.onsuccess = () => resolve(request.result);
        request.onerror = () => reject(request.error ?? new Error('It does not open.'));
      });
      const rows = await new Promise<Record<string, unknown>[]>((resolve, reject) => {
        const request = database.transaction(store).objectStore(store).getAll();
        request.onsuccess = () => resolve(request.result as Record<string, unknown>[]);
        request.onerror = () => reject(request.error ?? new Error('It is not read.'));
      });
      database.close();
      return rows;
    },
    [`terrarium-${part}`, table] as const,
  );
}

/** Every row of both databases and their versions, as text: equal where nothing was written. */
export function dump(page: Page): Promise<string> {
  return page.evaluate(async () => {
    const all: Record<string, unknown> = {};
    for (const { name = '' } of await indexedDB.databases()) {
      const database = await new Promise<IDBDatabase>((resolve, reject) => {
        const request = indexedDB.open(name);
        request.onsuccess = () => resolve(request.result);
        request.onerror = () => reject(request.error ?? new Error('It does not open.'));
      });
      all[name] = database.version;
      for (const store of database.objectStoreNames) {
        all[`${name}.${store}`] = await new Promise((resolve, reject) => {
          const request = database.transaction(store).objectStore(store).getAll();
          request.onsuccess = () => resolve(request.result);
          request.onerror = () => reject(request.error ?? new Error('It is not read.'));
        });
      }
      database.close();
    }
    return JSON.stringify(all, (_, value: unknown) =>
      value instanceof ArrayBuffer ? [...new Uint8Array(value)].join() : value,
    );
  });
}

/** Whether everything could be written now, or a transaction of another page stands before it for a second. */
export function isStoreFree(page: Page): Promise<boolean> {
  return page.evaluate(async () => {
    const free = async (name: string): Promise<boolean> => {
      const database = await new Promise<IDBDatabase>((resolve, reject) => {
        const request = indexedDB.open(name);
        request.onsuccess = () => resolve(request.result);
        request.onerror = () => reject(request.error ?? new Error('It does not open.'));
      });
      const stores = [...database.objectStoreNames];
      const begun = new Promise<boolean>((resolve) => {
        const transaction = database.transaction(stores, 'readwrite');
        transaction.objectStore(stores[0] ?? '').count().onsuccess = () => resolve(true);
        transaction.oncomplete = () => database.close();
      });
      const late = new Promise<boolean>((resolve) => setTimeout(() => resolve(false), 1000));
      return Promise.race([begun, late]);
    };
    const both = await Promise.all([free('terrarium-core'), free('terrarium-cache')]);
    return both.every(Boolean);
  });
}

/** Resolves as soon as so many chunks lie there. */
export function chunksReach(page: Page, count: number): Promise<number> {
  return page.evaluate(async (wanted) => {
    const database = await new Promise<IDBDatabase>((resolve, reject) => {
      const request = indexedDB.open('terrarium-cache');
      request.onsuccess = () => resolve(request.result);
      request.onerror = () => reject(request.error ?? new Error('It does not open.'));
    });
    for (;;) {
      const found = await new Promise<number>((resolve, reject) => {
        const request = database.transaction('chunkInfo').objectStore('chunkInfo').count();
        request.onsuccess = () => resolve(request.result);
        request.onerror = () => reject(request.error ?? new Error('It is not counted.'));
      });
      if (found >= wanted) return found;
    }
  }, count);
}

/** A table of random numbers on disk: a column of `rows` numbers is one chunk. */
export async function numbersFile(
  name: string,
  rows: number,
  columns: number,
): Promise<{ readonly path: string; remove(): Promise<void> }> {
  const folder = await mkdtemp(join(tmpdir(), 'terrarium-table-'));
  const lines = [[...Array.from({ length: columns }, (_, at) => `c${at}`), 'outcome'].join(',')];
  let state = rows * 31 + columns;
  const next = () => (state = (state * 1_103_515_245 + 12_345) % 2 ** 31) % 1_000_000;
  for (let row = 0; row < rows; row++) {
    const cells = Array.from({ length: columns }, () => (next() / 1000).toFixed(3));
    lines.push([...cells, row % 3 === 0 ? 'yes' : 'no'].join(','));
  }
  const path = join(folder, name);
  await writeFile(path, lines.join('\n'));
  return { path, remove: () => rm(folder, { recursive: true, force: true }) };
}
