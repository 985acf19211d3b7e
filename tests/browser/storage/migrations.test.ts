/**
 * Databases as every shipped version left them (tests/fixtures/storage), opened by the code of today: all is there.
 * An upgrade that is cut off at any of its steps leaves the old version as it was, and the next start finishes it.
 */
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { SCHEMA_VERSION } from '../../../src/storage/schema';
import { createStoreApi } from '../../../src/storage/store';
import type { Store } from '../../../src/storage/store';
import { quietConsole } from './faulty-disk';
import { PREDICTIONS, bytesOf, finished, freshStores, numbersIn, rawDatabase } from './fixtures';

const stores = freshStores();

beforeEach(quietConsole);
afterEach(() => vi.restoreAllMocks());

interface Table {
  readonly keyPath: string | string[];
  readonly indexes: readonly { readonly name: string; readonly keyPath: string | string[] }[];
  readonly rows: readonly unknown[];
}

interface Fixture {
  readonly ids: Readonly<
    Record<
      'projectId' | 'datasetId' | 'runId' | 'modelId' | 'evaluationId' | 'activeRunId' | 'copyId',
      string
    >
  >;
  readonly core: Part;
  readonly cache: Part;
}

interface Part {
  readonly version: number;
  readonly tables: Readonly<Record<string, Table>>;
}

const files = import.meta.glob<Fixture>('../../fixtures/storage/version-*.json', {
  eager: true,
  import: 'default',
});
const fixtures = Object.entries(files).map(
  ([path, fixture]) => [Number(/version-(\d+)/.exec(path)?.[1]), fixture] as const,
);

function decode(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(decode);
  if (typeof value !== 'object' || value === null) return value;
  const { $bytes, $number } = value as { $bytes?: string; $number?: string };
  if ($bytes !== undefined) return Uint8Array.from(atob($bytes), (c) => c.charCodeAt(0)).buffer;
  if ($number !== undefined) return Number($number);
  return Object.fromEntries(Object.entries(value).map(([key, one]) => [key, decode(one)]));
}

/** The databases as they were, under a fresh name. */
async function restored(fixture: Fixture): Promise<string> {
  const name = stores.name();
  for (const part of ['core', 'cache'] as const) {
    const { version, tables } = fixture[part];
    const request = indexedDB.open(`${name}-${part}`, version);
    request.onupgradeneeded = () => {
      for (const [table, { keyPath, indexes, rows }] of Object.entries(tables)) {
        const store = request.result.createObjectStore(table, { keyPath });
        for (const index of indexes) store.createIndex(index.name, index.keyPath);
        for (const row of rows) store.add(decode(row));
      }
    };
    (await finished(request)).close();
  }
  return name;
}

async function versionOf(name: string): Promise<number> {
  const database = await rawDatabase(name);
  const { version } = database;
  database.close();
  return version / 10;
}

/** All rows and stores of both, as text. */
async function contents(name: string): Promise<string> {
  const all: Record<string, unknown> = {};
  for (const part of ['core', 'cache']) {
    const database = await rawDatabase(`${name}-${part}`);
    all[part] = database.version;
    for (const table of database.objectStoreNames) {
      const rows = await finished(database.transaction(table).objectStore(table).getAll());
      all[`${part}.${table}`] = rows;
    }
    database.close();
  }
  return JSON.stringify(all, (_, value: unknown) =>
    value instanceof ArrayBuffer ? numbersIn(value) : value,
  );
}

async function expectAll(store: Store, version: number, { ids }: Fixture): Promise<void> {
  expect(await store.verify()).toEqual([]);
  const status = await store.open();
  expect(status).toMatchObject({ version: SCHEMA_VERSION, readOnly: false, loss: null });
  expect(status.interrupted.map(({ id }) => id)).toEqual([ids.activeRunId]);
  expect(await store.getProject(ids.projectId)).toMatchObject({ target: 'species' });
  const trashed = await store.listProjects({ trashed: true });
  expect(trashed.map(({ id }) => id)).toEqual([ids.copyId]);
  expect((await store.getDataset(ids.datasetId)).manifest.rows).toBe(8);
  expect(await store.getRun(ids.runId)).toMatchObject({ number: 1 });
  expect(await store.getModel(ids.modelId)).toMatchObject({ stage: 'champion' });
  expect(await store.getPredictions(ids.evaluationId)).toEqual(PREDICTIONS);
  expect(await store.getSetting('theme')).toBe('dark');
  const checkpoint = await store.getCheckpoint(ids.activeRunId);
  expect(checkpoint?.checkpoint.step).toBe(2);
  expect(numbersIn(checkpoint?.state)).toEqual(numbersIn(bytesOf(52)));
  expect(numbersIn(checkpoint?.best)).toEqual(numbersIn(bytesOf(53)));
  const pretrained = await store.listPretrained();
  expect(pretrained.map(({ name }) => name)).toEqual(version >= 2 ? ['tiny'] : []);
  for (const { id } of pretrained) {
    expect(numbersIn(await store.getPretrainedFile(id))).toEqual(numbersIn(bytesOf(77, 200)));
  }
  expect(await store.listInterruptedImports()).toHaveLength(version >= 3 ? 1 : 0);
}

test('there is a fixture for every shipped version', () => {
  const every = Array.from({ length: SCHEMA_VERSION }, (_, index) => index + 1);
  expect(fixtures.map(([version]) => version).sort()).toEqual(every);
});

describe.each(fixtures)('a database of version %d', (version, fixture) => {
  test('is whole after the upgrade, and can be worked on', async () => {
    const name = await restored(fixture);
    expect(await versionOf(`${name}-core`)).toBe(version);
    const store = await stores.opened({ name });
    await expectAll(store, version, fixture);
    const { projectId, datasetId, activeRunId } = fixture.ids;
    await store.updateRun(activeRunId, { status: 'running' });
    const { runId, ...rest } = (await store.getCheckpoint(activeRunId))?.checkpoint ?? never();
    await store.putCheckpoint({ ...rest, runId, step: 3 }, bytesOf(60), null);
    expect((await store.getCheckpoint(activeRunId))?.checkpoint.step).toBe(3);
    await store.updateRun(activeRunId, { status: 'done' });
    const { file } = await store.exportProject(projectId, { withData: true });
    expect((await store.importProject(file)).datasetId).toBe(datasetId);
    expect(await store.verify()).toEqual([]);
  });

  test('cut off at any step of the upgrade is as it was, and the next start finishes', async () => {
    if (version === SCHEMA_VERSION) return;
    let steps = 0;
    for (let failAt = 1; ; failAt++) {
      const name = await restored(fixture);
      const before = await contents(name);
      const { createObjectStore } = IDBDatabase.prototype;
      let made = 0;
      const spy = vi.spyOn(IDBDatabase.prototype, 'createObjectStore').mockImplementation(function (
        this: IDBDatabase,
        ...args
      ) {
        made += 1;
        if (made === failAt) throw new DOMException('Cut off.', 'AbortError');
        return createObjectStore.apply(this, args);
      });
      const cut = createStoreApi({ name });
      const opened = await cut.open().then(
        () => true,
        (error: unknown) => {
          expect(error).toMatchObject({ code: 'store/open-failed' });
          return false;
        },
      );
      cut.close();
      spy.mockRestore();
      if (!opened && (await versionOf(`${name}-core`)) === version) {
        expect(await contents(name)).toBe(before);
      }
      const store = await stores.opened({ name });
      await expectAll(store, version, fixture);
      store.close();
      if (opened) break;
      steps += 1;
    }
    expect(steps).toBeGreaterThanOrEqual(4);
  });

  test('between the upgrades of its two databases goes on where it was', async () => {
    const name = await restored(fixture);
    const open = indexedDB.open.bind(indexedDB);
    vi.spyOn(indexedDB, 'open').mockImplementation((database, wanted) => {
      if (database.endsWith('-cache')) throw new DOMException('Full.', 'QuotaExceededError');
      return open(database, wanted);
    });
    await expect(createStoreApi({ name }).open()).rejects.toMatchObject({
      code: 'store/open-failed',
      data: { reason: 'full' },
    });
    vi.restoreAllMocks();
    await expectAll(await stores.opened({ name }), version, fixture);
  });
});

function never(): never {
  throw new Error('The fixture has a checkpoint.');
}
