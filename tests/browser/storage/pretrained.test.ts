import { describe, expect, test } from 'vitest';
import { Dexie } from 'dexie';
import { SCHEMA_VERSION } from '../../../src/storage/schema';
import { DAY, bytesOf, fill, freshStores, modelDraft } from './fixtures';
import { SUMMARY } from './pretrained-fixture';

const stores = freshStores();

describe('pretrained models', () => {
  test('are kept under the hash of their file, equal ones once, until they are erased', async () => {
    const name = stores.name();
    const store = await stores.opened({ name, now: () => 5 });
    const kept = await store.putPretrained(
      { name: 'tiny', summary: SUMMARY },
      new Blob([bytesOf(7)]),
    );
    const again = await store.putPretrained(
      { name: 'the same', summary: SUMMARY },
      new Blob([bytesOf(7)]),
    );
    expect(kept).toMatchObject({
      id: kept.chunks[0]?.sha256,
      format: 1,
      createdAt: 5,
      name: 'tiny',
    });
    expect(again).toEqual({ ...kept, name: 'the same' });
    expect(await store.listPretrained()).toEqual([again]);
    store.close();

    const later = await stores.opened({ name, now: () => 5 + 400 * DAY });
    await later.collectGarbage();
    expect(new Uint8Array(await later.getPretrainedFile(kept.id))).toEqual(
      new Uint8Array(bytesOf(7)),
    );
    expect(await later.verify()).toEqual([]);
    await later.erasePretrained(kept.id);
    await expect(later.getPretrained(kept.id)).rejects.toMatchObject({ code: 'store/not-found' });
    await later.collectGarbage();
    for (const ref of kept.chunks) {
      await expect(later.getChunk(ref)).rejects.toMatchObject({ code: 'store/corrupt' });
    }
  });

  test('are kept in pieces where they are large', async () => {
    const store = await stores.opened();
    const large = new Float64Array(5 * 2 ** 20).map((_, index) => index / 3);
    const kept = await store.putPretrained({ name: 'large', summary: SUMMARY }, new Blob([large]));
    expect(kept.chunks).toHaveLength(5);
    const back = new Float64Array(await store.getPretrainedFile(kept.id));
    expect(back.length).toBe(large.length);
    expect(back.at(-1)).toBe(large.at(-1));
  });

  test('leave an adapter with the model that they taught', async () => {
    const store = await stores.opened();
    const { projectId } = await fill(store);
    const draft = modelDraft(projectId, null, null);
    const model = await store.putModel(draft, bytesOf(1), bytesOf(2));
    await store.collectGarbage();
    const { adapter } = await store.getModel(model.id);
    expect(adapter?.sha256).not.toBe(model.file.sha256);
    expect(adapter && (await store.getChunk(adapter))).toEqual(bytesOf(2));
    expect(await store.verify()).toEqual([]);
  });
});

describe('features of a frozen body', () => {
  test('come back; the least recently used go when there are too many', async () => {
    let now = 1;
    const store = await stores.opened({ now: () => now++, featureBytes: 300 });
    for (const key of ['a', 'b', 'c']) await store.putFeatures(key, new ArrayBuffer(100));
    expect((await store.getFeatures('a'))?.byteLength).toBe(100);
    await store.putFeatures('d', new ArrayBuffer(100));
    expect(await store.getFeatures('b')).toBeNull();
    expect(await store.getFeatures('a')).not.toBeNull();
    await store.putFeatures('a', new ArrayBuffer(90));
    expect((await store.getFeatures('a'))?.byteLength).toBe(90);
    expect(await store.getFeatures('c')).not.toBeNull();
    await store.putFeatures('e', new ArrayBuffer(301));
    expect(await store.getFeatures('e')).toBeNull();
    await store.eraseEverything();
    expect(await store.getFeatures('a')).toBeNull();
  });
});

describe('a store of schema 1', () => {
  test('is brought to this one with everything in it', async () => {
    const name = stores.name();
    const core = new Dexie(`${name}-core`);
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
    await core.table('settings').put({ key: 'theme', value: 'dark' });
    core.close();
    const cache = new Dexie(`${name}-cache`);
    cache.version(1).stores({ chunks: 'storageKey', chunkInfo: 'storageKey' });
    await cache.open();
    cache.close();
    const store = await stores.opened({ name });
    expect(await store.open()).toMatchObject({ version: SCHEMA_VERSION, readOnly: false });
    expect(await store.getSetting('theme')).toBe('dark');
    expect(await store.listPretrained()).toEqual([]);
    expect(await store.getFeatures('x')).toBeNull();
  });
});
