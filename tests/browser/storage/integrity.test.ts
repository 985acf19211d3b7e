/** What keeps the store sound: hashes, the collector, version guard, abandoned runs, several tabs. */
import { describe, expect, test } from 'vitest';
import { holdLock } from '../../../src/storage/locks';
import { SUMMARY } from './pretrained-fixture';
import { SCHEMA_VERSION } from '../../../src/storage/schema';
import type { Store } from '../../../src/storage/store';
import { createStoreApi } from '../../../src/storage/store';
import {
  bytesOf,
  checkpointDraft,
  fill,
  finished,
  freshStores,
  modelDraft,
  numbersIn,
  projectDraft,
  putTable,
  rawDatabase,
  runDraft,
  tableManifest,
} from './fixtures';

const stores = freshStores();
const HOUR = 60 * 60 * 1000;

/** Writes into the databases past the store, as a failing disk would. */
async function tamper(
  name: string,
  table: string,
  action: (rows: IDBObjectStore) => IDBRequest,
): Promise<void> {
  const database = await rawDatabase(name);
  await finished(action(database.transaction(table, 'readwrite').objectStore(table)));
  database.close();
}

async function dump(name: string): Promise<unknown> {
  const contents: Record<string, unknown> = {};
  for (const part of ['core', 'cache']) {
    const database = await rawDatabase(`${name}-${part}`);
    contents[part] = database.version;
    for (const table of database.objectStoreNames) {
      const rows = database.transaction(table).objectStore(table);
      contents[`${part}.${table}`] = await finished(rows.getAll());
    }
    database.close();
  }
  return contents;
}

describe('hashes', () => {
  test('a damaged chunk is named, the others are read, and writing it again heals it', async () => {
    const name = stores.name();
    const store = await stores.opened({ name });
    const { modelId, datasetId } = await fill(store);
    const { file } = await store.getModel(modelId);
    const bytes = bytesOf(255, file.bytes);
    await tamper(`${name}-cache`, 'chunks', (rows) =>
      rows.put({ storageKey: file.storageKey, bytes }),
    );
    await expect(store.getChunk(file)).rejects.toMatchObject({
      code: 'store/corrupt',
      data: { sha256: file.sha256 },
    });
    expect(await store.verify()).toEqual([expect.stringContaining(file.sha256.slice(0, 12))]);
    const { manifest } = await store.getDataset(datasetId);
    if (manifest.type !== 'table') throw new Error('The fixture is a table.');
    for (const column of manifest.columns) {
      for (const chunk of column.chunks) expect(await store.getChunk(chunk)).toBeDefined();
    }
    await store.putChunk(bytesOf(101, 96));
    expect(await store.verify()).toEqual([]);
  });

  test('verify finds a missing chunk, a dangling reference, and a changed manifest', async () => {
    const name = stores.name();
    const store = await stores.opened({ name });
    const { modelId, runId, datasetId } = await fill(store);
    const { file } = await store.getModel(modelId);
    const dataset = await store.getDataset(datasetId);
    await tamper(`${name}-cache`, 'chunks', (rows) => rows.delete(file.storageKey));
    await tamper(`${name}-core`, 'runs', (rows) => rows.delete(runId));
    await tamper(`${name}-core`, 'datasets', (rows) =>
      rows.put({ ...dataset, manifest: { ...dataset.manifest, rows: 9 } }),
    );
    const problems = (await store.verify()).join('\n');
    expect(problems).toContain('is missing');
    expect(problems).toContain(`names the missing run ${runId}`);
    expect(problems).toContain(`manifest of dataset ${datasetId} does not match`);
    expect(problems).toContain('journal entry disagree');
  });
});

describe('the collector', () => {
  test('frees what nothing names after the grace period, and never what something names', async () => {
    const name = stores.name();
    let now = 0;
    const store = await stores.opened({ name, now: () => now });
    const filled = await fill(store);
    const run = await store.createRun(runDraft(filled.projectId, filled.datasetId));
    await store.putCheckpoint(checkpointDraft(run.id, 1), bytesOf(50), bytesOf(51));
    const loose = await store.putChunk(bytesOf(77, 128));
    expect(await store.collectGarbage()).toBe(0);
    now = 2 * HOUR;
    expect(await store.collectGarbage()).toBe(128);
    await expect(store.getChunk(loose)).rejects.toMatchObject({ code: 'store/corrupt' });
    expect(await store.verify()).toEqual([]);
    expect(numbersIn((await store.getCheckpoint(run.id))?.state)).toEqual(numbersIn(bytesOf(50)));
  });

  test('a clock set back does not keep garbage for ever', async () => {
    let now = 10 * HOUR;
    const store = await stores.opened({ now: () => now });
    await store.putChunk(bytesOf(1));
    now = 0;
    expect(await store.collectGarbage()).toBe(64);
  });

  test('an import given up leaves nothing, and takes nothing from others', async () => {
    const store = await stores.opened();
    const shared = await store.putChunk(bytesOf(1));
    await store.putDataset(tableManifest(shared));
    const own = await store.putChunk(bytesOf(2));
    await store.discardChunks([await store.putChunk(bytesOf(1)), own]);
    await expect(store.getChunk(own)).rejects.toMatchObject({ code: 'store/corrupt' });
    expect(numbersIn(await store.getChunk(shared))).toEqual(numbersIn(bytesOf(1)));
    expect(await store.verify()).toEqual([]);
  });

  test('an unfinished import is rolled back at the next start, unless another tab lives', async () => {
    const name = stores.name();
    const store = await stores.opened({ name });
    const ref = await store.putChunk(bytesOf(1));
    const second = await stores.opened({ name });
    expect(numbersIn(await second.getChunk(ref))).toEqual(numbersIn(bytesOf(1)));
    store.close();
    second.close();
    const third = await stores.opened({ name });
    await expect(third.getChunk(ref)).rejects.toMatchObject({ code: 'store/corrupt' });
    expect(await third.verify()).toEqual([]);
  });

  test('a manifest is not written while the collector is at work', async () => {
    const name = stores.name();
    const store = await stores.opened({ name });
    const manifest = tableManifest(await store.putChunk(bytesOf(1)));
    const release = await holdLock(`${name}-collector`);
    let written = false;
    const writing = store.putDataset(manifest).then(() => (written = true));
    await new Promise((resolve) => setTimeout(resolve, 50));
    expect(written).toBe(false);
    release?.();
    await writing;
    expect(await store.verify()).toEqual([]);
  });
});

describe('runs whose tab is gone', () => {
  async function running(store: Store) {
    const datasetId = await putTable(store, 1);
    const { id } = await store.createProject(projectDraft(datasetId));
    return store.createRun(runDraft(id, datasetId));
  }

  test('become interrupted, are reported, and can be taken up again', async () => {
    const name = stores.name();
    const store = await stores.opened({ name });
    const run = await running(store);
    await store.putCheckpoint(checkpointDraft(run.id, 4), bytesOf(1), null);
    store.close();
    const next = await stores.opened({ name });
    const expected = { ...run, status: 'interrupted' };
    expect((await next.open()).interrupted).toEqual([expected]);
    expect((await next.getCheckpoint(run.id))?.checkpoint.step).toBe(4);
    await next.updateRun(run.id, { status: 'running' });
    expect((await next.open()).interrupted).toEqual([]);
    expect(await next.verify()).toEqual([]);
  });

  test('are noticed although the dying tab lets go a moment later', async () => {
    const name = stores.name();
    const store = await stores.opened({ name });
    const run = await running(store);
    const next = createStoreApi({ name });
    setTimeout(() => store.close(), 60);
    expect((await next.open()).interrupted).toMatchObject([{ id: run.id }]);
    next.close();
  });

  test('stay as they are while a living tab is at work on them', async () => {
    const name = stores.name();
    const first = await stores.opened({ name });
    const run = await running(first);
    const second = await stores.opened({ name });
    expect(await second.open()).toMatchObject({ interrupted: [], readOnly: false });
    expect((await second.getRun(run.id)).status).toBe('running');
    await expect(second.updateRun(run.id, { status: 'running' })).rejects.toMatchObject({
      code: 'store/elsewhere',
    });
    await first.updateRun(run.id, { status: 'paused' });
    await first.updateRun(run.id, { status: 'failed' });
    await second.updateRun(run.id, { status: 'running' });
  });

  test('a finished run keeps no checkpoint and takes none', async () => {
    const name = stores.name();
    const store = await stores.opened({ name });
    const run = await running(store);
    await store.putCheckpoint(checkpointDraft(run.id, 1), bytesOf(1), bytesOf(2));
    await store.updateRun(run.id, { status: 'done' });
    expect(await store.getCheckpoint(run.id)).toBeNull();
    // Nor are its bytes left behind.
    expect(await store.verify()).toEqual([]);
    await expect(
      store.putCheckpoint(checkpointDraft(run.id, 2), bytesOf(3), null),
    ).rejects.toMatchObject({ code: 'store/run-finished' });
    store.close();
    expect(await (await stores.opened({ name })).verify()).toEqual([]);
    expect(await dump(name)).toMatchObject({ 'core.checkpoints': [] });
  });
});

describe('checkpoints', () => {
  test('take turns in two slots, and the older one stands in for a damaged one', async () => {
    const name = stores.name();
    const store = await stores.opened({ name });
    const datasetId = await putTable(store, 1);
    const { id } = await store.createProject(projectDraft(datasetId));
    const run = await store.createRun(runDraft(id, datasetId));
    expect(await store.getCheckpoint(run.id)).toBeNull();
    for (const step of [1, 2, 3]) {
      await store.putCheckpoint(checkpointDraft(run.id, step), bytesOf(step), bytesOf(step + 10));
      const found = await store.getCheckpoint(run.id);
      expect(found?.checkpoint.step).toBe(step);
      expect(numbersIn(found?.state)).toEqual(numbersIn(bytesOf(step)));
      expect(numbersIn(found?.best)).toEqual(numbersIn(bytesOf(step + 10)));
    }
    const state = (await store.getCheckpoint(run.id))?.checkpoint.state;
    const key = state?.storageKey ?? '';
    await tamper(`${name}-cache`, 'chunks', (rows) =>
      rows.put({ storageKey: key, bytes: bytesOf(99) }),
    );
    expect((await store.getCheckpoint(run.id))?.checkpoint.step).toBe(2);
    await tamper(`${name}-cache`, 'chunks', (rows) => rows.clear());
    await expect(store.getCheckpoint(run.id)).rejects.toMatchObject({ code: 'store/corrupt' });
  });
});

describe('versions', () => {
  test('a newer schema is read only: everything readable, nothing written', async () => {
    const name = stores.name();
    const old = await stores.opened({ name });
    const filled = await fill(old);
    await old.createRun(runDraft(filled.projectId, filled.datasetId));
    await old.putChunk(bytesOf(200));
    await old.trashProject(filled.projectId);
    old.close();
    await migrateToNewer(name);
    const before = await dump(name);

    const store = await stores.opened({ name, now: () => Date.now() + 400 * 24 * HOUR });
    expect(await store.open()).toMatchObject({ readOnly: true, version: SCHEMA_VERSION + 1 });
    expect(await store.getProject(filled.projectId)).toBeDefined();
    expect((await store.exportProject(filled.projectId, { withData: true })).file).toBeDefined();
    const writes: (() => Promise<unknown>)[] = [
      () => store.putChunk(bytesOf(1)),
      () => store.discardChunks([]),
      () => store.putDataset(tableManifest({ sha256: '', storageKey: '', bytes: 0 })),
      () => store.createProject(projectDraft()),
      () => store.editProject(filled.projectId, 2, { name: 'New' }),
      () => store.duplicateProject(filled.projectId),
      () => store.trashProject(filled.projectId),
      () => store.restoreProject(filled.projectId),
      () => store.eraseProject(filled.projectId),
      () => store.openTest(filled.projectId),
      () => store.createRun(runDraft(filled.projectId, filled.datasetId)),
      () => store.updateRun(filled.runId, { status: 'running' }),
      () => store.putCheckpoint(checkpointDraft(filled.runId, 1), bytesOf(1), null),
      () => store.putModel(modelDraft(filled.projectId, null, null), bytesOf(1)),
      () => store.putPretrained({ name: 'tiny', summary: SUMMARY }, new Blob([bytesOf(1)])),
      () => store.erasePretrained('0'.repeat(64)),
      () => store.putFeatures('key', bytesOf(1)),
      () => store.setStage(filled.modelId, 'champion'),
      () => store.renameModel(filled.modelId, 'New'),
      () => store.trashModel(filled.modelId),
      () => store.restoreModel(filled.modelId),
      () => store.setSetting('theme', 'dark'),
      () => store.importProject(new Blob()),
      () => store.collectGarbage(),
      () => store.eraseEverything(),
    ];
    for (const write of writes) {
      await expect(write(), write.toString()).rejects.toMatchObject({ code: 'store/read-only' });
    }
    store.close();
    expect(await dump(name)).toEqual(before);
  });

  test('a newer schema that lacks what this code knows is not opened, nor patched', async () => {
    const name = stores.name();
    const old = await stores.opened({ name });
    await fill(old);
    old.close();
    const request = indexedDB.open(`${name}-core`, (SCHEMA_VERSION + 1) * 10);
    request.onupgradeneeded = () => request.result.deleteObjectStore('runs');
    (await finished(request)).close();
    const before = await dump(name);
    await expect(createStoreApi({ name }).open()).rejects.toMatchObject({
      code: 'store/unknown-schema',
    });
    expect(await dump(name)).toEqual(before);
  });

  test('a tab of an older version lets go when a newer one upgrades, and writes no more', async () => {
    const name = stores.name();
    const store = await stores.opened({ name });
    const { projectId } = await fill(store);
    await migrateToNewer(name);
    await expect(store.openTest(projectId)).rejects.toMatchObject({ code: 'store/closed' });
    await expect(store.putChunk(bytesOf(1))).rejects.toMatchObject({ code: 'store/closed' });
  });

  test('a database deleted under the store is reported, and no empty one takes its place', async () => {
    const name = stores.name();
    const store = await stores.opened({ name });
    await fill(store);
    await finished(indexedDB.deleteDatabase(`${name}-core`));
    await expect(store.listProjects()).rejects.toMatchObject({ code: 'store/closed' });
    const names = (await indexedDB.databases()).map((database) => database.name);
    expect(names).not.toContain(`${name}-core`);
  });
});

/** What a future version might do: more stores, in a schema with a higher number. */
async function migrateToNewer(name: string): Promise<void> {
  for (const part of ['core', 'cache']) {
    const request = indexedDB.open(`${name}-${part}`, (SCHEMA_VERSION + 1) * 10);
    request.onupgradeneeded = () => request.result.createObjectStore('future');
    (await finished(request)).close();
  }
}

test('fifty calls at once neither block nor mix', async () => {
  const name = stores.name();
  const [here, there] = [await stores.opened({ name }), await stores.opened({ name })];
  const filled = [await fill(here), await fill(there, 2)] as const;
  const calls = Array.from({ length: 50 }, (_, index): Promise<unknown> => {
    // One writer a project: each tab has its own.
    const store = index % 2 === 0 ? here : there;
    const { projectId, runId } = filled[index % 2 === 0 ? 0 : 1];
    switch (index % 5) {
      case 0:
        return store.openTest(projectId);
      case 1:
        return store.putModel(modelDraft(projectId, runId, null), bytesOf(index));
      case 2:
        return putTable(store, index);
      case 3:
        return store.updateRun(runId, { stepsDone: index });
      default:
        return store.collectGarbage();
    }
  });
  await Promise.all(calls);
  for (const { projectId } of filled) {
    expect((await here.getProject(projectId)).testOpened).toBe(5);
    expect(await there.listModels(projectId)).toHaveLength(6);
  }
  // One of the ten is one of those that were there.
  expect(await here.listDatasets()).toHaveLength(11);
  expect(await here.verify()).toEqual([]);
});
