/** Bytes too large for one record: cut, joined, checked, shared, freed and carried away part by part. */
import { expect, test } from 'vitest';
import type { ChunkRef } from '../../../src/protocol/entities';
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

async function keys(name: string): Promise<readonly string[]> {
  const database = await rawDatabase(`${name}-cache`);
  const rows = database.transaction('chunks').objectStore('chunks');
  const found = (await finished(rows.getAllKeys())) as string[];
  database.close();
  return found;
}

const placesOf = (ref: ChunkRef) => (ref.parts ?? [ref]).map((part) => part.storageKey);

test('a model of 150 MB comes back as it was put', async () => {
  const name = stores.name();
  const store = await stores.opened({ name });
  const { id } = await store.createProject(projectDraft());
  const file = new Uint8Array(150 * 2 ** 20);
  for (let at = 0; at < file.length; at += 4096) file[at] = at >> 12;
  const { file: ref } = await store.putModel(modelDraft(id, null, null), file.slice().buffer);
  expect(ref.parts).toHaveLength(19);
  expect(ref.storageKey).toBe(ref.sha256);
  const back = new Uint8Array(await store.getChunk(ref));
  expect(back.length).toBe(file.length);
  expect(indexedDB.cmp(back, file)).toBe(0);
  expect(await store.verify()).toEqual([]);
  expect((await store.eraseProject(id)).bytes).toBeGreaterThan(0);
  expect(await keys(name)).toEqual([]);
}, 120_000);

test('equal parts lie once, and a part that something else names is not freed', async () => {
  const name = stores.name();
  const store = await stores.opened({ name, partBytes: 64 });
  const { id } = await store.createProject(projectDraft());
  const twice = await new Blob([bytesOf(1), bytesOf(1), bytesOf(2)]).arrayBuffer();
  const { file } = await store.putModel(modelDraft(id, null, null), twice);
  expect(file.parts).toHaveLength(3);
  const dataset = await store.putDataset(tableManifest(await store.putChunk(bytesOf(2))));
  expect(await keys(name)).toHaveLength(2);
  expect(await store.verify()).toEqual([]);
  expect(await store.describeDeletion(id)).toMatchObject({ bytes: 64 });
  expect(await store.eraseProject(id)).toEqual({ bytes: 64 });
  expect(await keys(name)).toHaveLength(1);
  expect(await store.getDataset(dataset.id)).toBeDefined();
  expect(await store.verify()).toEqual([]);
});

test('a damaged part is named by its own hash, and putting the file again heals it', async () => {
  const name = stores.name();
  const store = await stores.opened({ name, partBytes: 64 });
  const { id } = await store.createProject(projectDraft());
  const bytes = bytesOf(3, 200);
  const { file } = await store.putModel(modelDraft(id, null, null), bytes.slice(0));
  const part = file.parts?.[2];
  if (!part) throw new Error('The file has four parts.');
  const database = await rawDatabase(`${name}-cache`);
  const rows = database.transaction('chunks', 'readwrite').objectStore('chunks');
  await finished(rows.put({ storageKey: part.storageKey, bytes: new ArrayBuffer(part.bytes) }));
  database.close();
  const named = { code: 'store/corrupt', data: { sha256: part.sha256 } };
  await expect(store.getChunk(file)).rejects.toMatchObject(named);
  expect(await store.verify()).toEqual([expect.stringContaining(part.sha256.slice(0, 12))]);
  await store.putChunk(bytes.slice(0));
  expect(numbersIn(await store.getChunk(file))).toEqual(numbersIn(bytes));
  expect(await store.verify()).toEqual([]);
});

test('parts in another order are refused, although each of them is sound', async () => {
  const store = await stores.opened({ partBytes: 64 });
  const ref = await store.putChunk(bytesOf(4, 128));
  const turned = { ...ref, parts: [...(ref.parts ?? [])].reverse() };
  await expect(store.getChunk(turned)).rejects.toMatchObject({ code: 'store/corrupt' });
});

test('checkpoints in parts take turns, shrink, and go with the run', async () => {
  const name = stores.name();
  let now = 0;
  const store = await stores.opened({ name, partBytes: 64, now: () => now });
  const datasetId = await putTable(store, 1);
  const { id } = await store.createProject(projectDraft(datasetId));
  const run = await store.createRun(runDraft(id, datasetId));
  for (const [step, length] of [300, 300, 100, 100, 300].entries()) {
    const [state, best] = [bytesOf(step, length), bytesOf(step + 10, length)];
    await store.putCheckpoint(checkpointDraft(run.id, step), state, best);
    now += 2 * HOUR;
    await store.collectGarbage();
    const found = await store.getCheckpoint(run.id);
    expect(numbersIn(found?.state)).toEqual(numbersIn(bytesOf(step, length)));
    expect(numbersIn(found?.best)).toEqual(numbersIn(bytesOf(step + 10, length)));
    expect(await store.verify()).toEqual([]);
  }
  expect((await keys(name)).some((key) => key.endsWith(`A/state/4`))).toBe(true);
  await store.updateRun(run.id, { status: 'done' });
  expect((await keys(name)).filter((key) => key.startsWith('checkpoint/'))).toEqual([]);
  expect(await store.verify()).toEqual([]);
});

test('what was kept whole by an older build stays whole, in this store and through a file', async () => {
  const name = stores.name();
  const former = await stores.opened({ name, partBytes: 1000 });
  const { modelId, projectId } = await fill(former);
  const { file } = await former.getModel(modelId);
  former.close();
  const store = await stores.opened({ name, partBytes: 16 });
  expect(await store.getModel(modelId)).toMatchObject({ file });
  expect(file.parts).toBeUndefined();
  expect(numbersIn(await store.getChunk(file))).toEqual(numbersIn(bytesOf(101, 96)));
  const { file: saved } = await store.exportProject(projectId, { withData: true });
  const elsewhere = await stores.opened({ partBytes: 16 });
  const imported = await elsewhere.importProject(saved);
  const [model] = await elsewhere.listModels(imported.id);
  expect(model?.file).toEqual(file);
  expect(await elsewhere.verify()).toEqual([]);
});

test('a project file carries parts, and refuses parts that are not those of the whole', async () => {
  const store = await stores.opened({ partBytes: 64 });
  const { id } = await store.createProject(projectDraft());
  const { file } = await store.putModel(modelDraft(id, null, null), bytesOf(5, 200));
  const { file: saved } = await store.exportProject(id, { withData: true });
  const elsewhere = await stores.opened();
  const imported = await elsewhere.importProject(saved);
  const [model] = await elsewhere.listModels(imported.id);
  expect(model?.file).toEqual(file);
  expect(placesOf(file)).toHaveLength(4);
  expect(numbersIn(await elsewhere.getChunk(file))).toEqual(numbersIn(bytesOf(5, 200)));
  expect(await elsewhere.verify()).toEqual([]);
});
