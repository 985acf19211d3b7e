/** An import into a locked project that a crash ends: as into an open one, and nothing about it can be read meanwhile. */
import { beforeEach, describe, expect, test } from 'vitest';
import type { ChunkRef } from '../../../src/protocol/entities';
import type { ChunkRow } from '../../../src/storage/schema';
import type { Store } from '../../../src/storage/store';
import { DAY, bytesOf, freshStores, numbersIn, projectDraft, tableManifest } from './fixtures';
import { CANARY, PASSPHRASE, rows, wholeDisk } from './vault-fixture';

const stores = freshStores();
const secret = { passphrase: PASSPHRASE };
const source = { kind: 'file', name: `${CANARY}.csv` } as const;
let name: string;
let projectId: string;
let now = 1_000_000;

const sealedChunks = async () =>
  (await rows<ChunkRow>(`${name}-cache`, 'chunks')).map(({ storageKey, bytes }) => ({
    storageKey,
    bytes: numbersIn(bytes)?.join(),
  }));

/** Two of three chunks are written when its tab dies. */
beforeEach(async () => {
  name = stores.name();
  const store = await stores.opened({ name, now: () => now });
  ({ projectId } = await store.createVault('Locked project', PASSPHRASE));
  const importId = await store.beginImport({ source, bytes: 192, into: projectId });
  await store.putChunk(bytesOf(1), importId);
  await store.putChunk(bytesOf(2), importId);
  store.close();
});

async function unlocked(): Promise<Store> {
  const store = await stores.opened({ name, now: () => now });
  expect(await store.collectGarbage()).toBe(0);
  expect(await store.listInterruptedImports()).toEqual([]);
  await store.unlockVault(projectId, secret);
  return store;
}

async function importAgain(store: Store) {
  const importId = await store.beginImport({ source, bytes: 192, into: projectId });
  const chunks: ChunkRef[] = [];
  for (const seed of [1, 2, 3]) chunks.push(await store.putChunk(bytesOf(seed), importId));
  const [chunk] = chunks;
  if (!chunk) throw new Error('no chunk');
  const manifest = tableManifest(chunk, source.name);
  if (manifest.type !== 'table') throw new Error('no table');
  const columns = manifest.columns.map((column, index) => ({
    ...column,
    chunks: chunks.slice(index, index + 1),
  }));
  return store.putDataset({ ...manifest, columns }, importId);
}

describe('an import into a locked project whose tab died', () => {
  test('cannot be read from the disk, and is offered once the project is unlocked', async () => {
    expect(await wholeDisk(name)).not.toContain(CANARY);
    const store = await unlocked();
    expect(await store.listInterruptedImports()).toMatchObject([
      { source, bytes: 192, into: projectId, kept: 128 },
    ]);
    expect(await store.listDatasets()).toEqual([]);
    expect(await store.verify()).toEqual([]);
    expect(await store.collectGarbage()).toBe(0);
    await store.closeVault(projectId);
    expect(await store.listInterruptedImports()).toEqual([]);
  });

  test('made again from the same file is whole, and what lay there is not written twice', async () => {
    const before = await sealedChunks();
    expect(before).toHaveLength(2);
    const store = await unlocked();
    const { id, manifest } = await importAgain(store);
    const after = await sealedChunks();
    expect(after).toHaveLength(3);
    expect(after).toEqual(expect.arrayContaining(before));
    expect(await store.listInterruptedImports()).toEqual([]);
    await store.createProject(projectDraft(id), projectId);
    await store.closeVault(projectId);
    await store.unlockVault(projectId, secret);
    const columns = manifest.type === 'table' ? manifest.columns : [];
    for (const [index, { chunks }] of columns.entries()) {
      const [chunk] = chunks;
      if (!chunk) throw new Error('no chunk');
      expect(numbersIn(await store.getChunk(chunk))).toEqual(numbersIn(bytesOf(index + 1)));
    }
    expect(await store.verify()).toEqual([]);
    expect(await store.collectGarbage()).toBe(0);
    expect(await wholeDisk(name)).not.toContain(CANARY);
  });

  test('goes when it is given up, at once and with all that it wrote', async () => {
    const store = await unlocked();
    const [left] = await store.listInterruptedImports();
    expect(await store.discardImport(left?.id ?? '')).toEqual({ bytes: 128 });
    expect(await sealedChunks()).toEqual([]);
    expect(await store.listInterruptedImports()).toEqual([]);
    expect(await store.verify()).toEqual([]);
    await store.closeVault(projectId);
    await store.unlockVault(projectId, secret);
    expect(await store.listInterruptedImports()).toEqual([]);
  });

  test('waits a week for its file', async () => {
    now += 6 * DAY;
    const store = await unlocked();
    expect(await store.listInterruptedImports()).toHaveLength(1);
    store.close();
    now += 2 * DAY;
    const later = await unlocked();
    expect(await later.listInterruptedImports()).toEqual([]);
    expect(await sealedChunks()).toEqual([]);
  });
});

test('an import that another tab is at work on is not offered, and loses nothing', async () => {
  const first = await stores.opened({ name });
  await first.unlockVault(projectId, secret);
  for (const { id } of await first.listInterruptedImports()) await first.discardImport(id);
  const importId = await first.beginImport({ source, bytes: 64, into: projectId });
  const chunk = await first.putChunk(bytesOf(5), importId);
  const second = await stores.opened({ name });
  await second.unlockVault(projectId, secret);
  expect(await second.listInterruptedImports()).toEqual([]);
  expect(await second.collectGarbage()).toBe(0);
  const { id } = await first.putDataset(tableManifest(chunk, source.name), importId);
  await first.createProject(projectDraft(id), projectId);
  expect(numbersIn(await first.getChunk(chunk))).toEqual(numbersIn(bytesOf(5)));
  expect(await first.verify()).toEqual([]);
});
