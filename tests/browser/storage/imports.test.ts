/** The journal of imports: what a crash leaves is offered, spared, taken up without a second write, or freed. */
import { expect, test } from 'vitest';
import type { DBCoreMutateRequest } from 'dexie';
import { createDataApi } from '../../../src/data/api';
import { journalled } from '../../../src/data/journal';
import type { StoreMiddleware } from '../../../src/storage/schema';
import type { Store } from '../../../src/storage/store';
import { bytesOf, finished, freshStores, numbersIn, rawDatabase, tableManifest } from './fixtures';

const stores = freshStores();
const HOUR = 60 * 60 * 1000;
const CLINIC = { source: { kind: 'file', name: 'clinic.csv' }, bytes: 1000 } as const;
const OTHER = { source: { kind: 'file', name: 'other.csv' }, bytes: 10 } as const;

/** Counts what is written to a table. */
function counting(table: string) {
  const writes: DBCoreMutateRequest[] = [];
  const middleware: StoreMiddleware = {
    stack: 'dbcore',
    name: 'counting',
    create: (down) => ({
      ...down,
      table: (name) => {
        const below = down.table(name);
        if (name !== table) return below;
        return {
          ...below,
          mutate: (request) => {
            writes.push(request);
            return below.mutate(request);
          },
        };
      },
    }),
  };
  return { middleware, writes };
}

async function interrupted(name: string, now?: () => number): Promise<string> {
  const store = await stores.opened({ name, ...(now && { now }) });
  const id = await store.beginImport(CLINIC);
  await store.putChunk(bytesOf(1), id);
  await store.putChunk(bytesOf(2), id);
  store.close();
  return id;
}

test('an interrupted import is reported, and its chunks are spared for a week', async () => {
  const name = stores.name();
  let now = 0;
  const id = await interrupted(name, () => now);
  now = 6 * 24 * HOUR;
  const store = await stores.opened({ name, now: () => now });
  const { interruptedImports, rolledBack } = await store.open();
  expect(interruptedImports).toEqual([{ id, startedAt: 0, ...CLINIC, kept: 128 }]);
  expect(rolledBack).toBe(0);
  expect(await store.collectGarbage()).toBe(0);
  expect(await store.verify()).toEqual([]);
  store.close();
  now = 8 * 24 * HOUR;
  const later = await stores.opened({ name, now: () => now });
  expect(await later.open()).toMatchObject({ interruptedImports: [] });
  expect(await later.verify()).toEqual([]);
  await expect(
    later.getChunk({ ...(await later.putChunk(bytesOf(3))), storageKey: 'gone' }),
  ).rejects.toMatchObject({ code: 'store/corrupt' });
});

test('importing the same file again writes only what is missing, and closes both entries', async () => {
  const name = stores.name();
  await interrupted(name);
  const { middleware, writes } = counting('chunks');
  const store = await stores.opened({ name, middleware });
  const id = await store.beginImport(CLINIC);
  const refs = [];
  for (const seed of [1, 2, 3]) refs.push(await store.putChunk(bytesOf(seed), id));
  expect(writes).toHaveLength(1);
  const [first] = refs;
  if (!first) throw new Error('Three chunks were put.');
  const manifest = tableManifest(first, 'clinic');
  await store.putDataset(manifest, id);
  expect(await store.listInterruptedImports()).toEqual([]);
  // What the crashed one had written and this manifest does not name is gone at once.
  expect(await store.verify()).toEqual([]);
  expect(await store.collectGarbage()).toBe(0);
});

test('discarding frees what only that import wrote', async () => {
  const name = stores.name();
  const id = await interrupted(name);
  const store = await stores.opened({ name });
  const dataset = await store.putDataset(tableManifest(await store.putChunk(bytesOf(1))));
  expect(await store.discardImport(id)).toEqual({ bytes: 64 });
  expect(await store.listInterruptedImports()).toEqual([]);
  const { manifest } = await store.getDataset(dataset.id);
  if (manifest.type !== 'table') throw new Error('The fixture is a table.');
  const [ref] = manifest.columns[0]?.chunks ?? [];
  if (!ref) throw new Error('The fixture has a chunk.');
  expect(numbersIn(await store.getChunk(ref))).toEqual(numbersIn(bytesOf(1)));
  expect(await store.verify()).toEqual([]);
});

test('a file whose import was interrupted twice is offered once, with what both left, and given up at once', async () => {
  const name = stores.name();
  await interrupted(name);
  const again = await stores.opened({ name });
  const id = await again.beginImport(CLINIC);
  await again.putChunk(bytesOf(1), id);
  await again.putChunk(bytesOf(7), id);
  again.close();
  const store = await stores.opened({ name });
  const [first, ...others] = await store.listInterruptedImports();
  expect(others).toEqual([]);
  expect(first).toMatchObject({ kept: 192 });
  if (!first) throw new Error('It was interrupted.');
  expect(await store.discardImport(first.id)).toEqual({ bytes: 192 });
  expect(await store.listInterruptedImports()).toEqual([]);
  expect(await store.verify()).toEqual([]);
});

test('an import in a living tab is no interrupted one, and giving up the same file there takes nothing from it', async () => {
  const name = stores.name();
  const [here, there] = [await stores.opened({ name }), await stores.opened({ name })];
  const a = await here.beginImport(CLINIC);
  const b = await there.beginImport(CLINIC);
  const ref = await here.putChunk(bytesOf(1), a);
  await there.putChunk(bytesOf(1), b);
  expect(await there.listInterruptedImports()).toEqual([]);
  expect(await there.discardImport(b)).toEqual({ bytes: 0 });
  await here.putDataset(tableManifest(ref), a);
  expect(await here.verify()).toEqual([]);
  await expect(there.putDataset(tableManifest(ref), b)).rejects.toMatchObject({
    code: 'store/import-closed',
  });
});

test('another file of the same folder leaves the note about the first one', async () => {
  const name = stores.name();
  const first = await interrupted(name);
  const store = await stores.opened({ name });
  const id = await store.beginImport(OTHER);
  await store.putDataset(tableManifest(await store.putChunk(bytesOf(9), id)), id);
  expect(await store.listInterruptedImports()).toMatchObject([{ id: first, kept: 128 }]);
});

test('an import that fails in the middle leaves nothing, not even an entry', async () => {
  const name = stores.name();
  const store = await stores.opened({ name });
  const work = async (own: Pick<Store, 'putChunk'>) => {
    await own.putChunk(bytesOf(1));
    throw new Error('The file is odd.');
  };
  await expect(journalled(store, CLINIC, () => undefined, work)).rejects.toThrow('odd');
  store.close();
  const next = await stores.opened({ name });
  expect(await next.open()).toMatchObject({ interruptedImports: [], rolledBack: 0 });
});

test('a cancelled import gives up what was still on its way', async () => {
  const name = stores.name();
  const store = await stores.opened({ name });
  let stop: () => void = () => undefined;
  const gone: Promise<unknown> = journalled(
    store,
    CLINIC,
    (how) => (stop = how),
    async (own) => {
      await own.putChunk(bytesOf(1));
      const late = own.putChunk(bytesOf(2));
      stop();
      await late;
      await own.putChunk(bytesOf(3));
    },
  );
  await expect(gone).rejects.toMatchObject({ code: 'data/cancelled' });
  const left = async () => {
    const database = await rawDatabase(`${name}-cache`);
    const count = await finished(database.transaction('chunks').objectStore('chunks').count());
    database.close();
    return count;
  };
  await expect.poll(left).toBe(0);
  expect(await store.verify()).toEqual([]);
});

test('the data worker’s own table import opens and closes the journal', async () => {
  const name = stores.name();
  const store = await stores.opened({ name });
  const begun: string[] = [];
  const api = createDataApi({
    openStore: () => ({
      ...store,
      beginImport: async (start) => {
        begun.push(start.source.name);
        return store.beginImport(start);
      },
    }),
    spawnParser: () => {
      throw new Error('Samples of the studio need no parser.');
    },
    readStatic: async (path) => (await fetch(`/data/${path}`)).blob(),
  });
  api.connectStore(new MessageChannel().port1);
  const { dataset } = await api.importEmbedded('call', 'penguins', () => undefined);
  expect(dataset.manifest.rows).toBe(344);
  expect(begun).toEqual(['penguins']);
  expect(await store.listInterruptedImports()).toEqual([]);
  expect(await store.collectGarbage()).toBe(0);
  expect(await store.verify()).toEqual([]);
});
