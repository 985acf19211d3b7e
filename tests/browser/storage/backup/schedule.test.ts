/** When backups are made and what is said about them, with looks that a test makes instead of a clock. */
import { afterEach, beforeEach, expect, test } from 'vitest';
import { Backups, REMIND_DAYS } from '../../../../src/state/backups.svelte';
import { Toasts } from '../../../../src/state/toasts.svelte';
import { createStoreApi } from '../../../../src/storage/store';
import type { Store } from '../../../../src/storage/store';
import { DAY, deleteStore, fill, projectDraft, runDraft } from '../fixtures';
import type { Filled } from '../fixtures';

/** The page listens to the store of this name. */
const NAME = 'terrarium';
let store: Store;
let filled: Filled;
let backups: Backups;
let toasts: Toasts;
let handle: FileSystemDirectoryHandle;
let now: number;
let stop: () => void;

beforeEach(async () => {
  await deleteStore(NAME);
  store = createStoreApi({ name: NAME });
  const status = await store.open();
  filled = await fill(store);
  now = Date.now();
  toasts = new Toasts();
  const studio = { store, storeStatus: () => Promise.resolve(status) };
  backups = new Backups(
    () => Promise.resolve(studio),
    toasts,
    () => now,
  );
  stop = backups.watch();
  const root = await navigator.storage.getDirectory();
  handle = await root.getDirectoryHandle('Scheduled', { create: true });
});

afterEach(async () => {
  stop();
  store.close();
  await deleteStore(NAME);
  const root = await navigator.storage.getDirectory();
  await root.removeEntry('Scheduled', { recursive: true }).catch(() => undefined);
});

async function files(): Promise<number> {
  let count = 0;
  for await (const place of handle.values()) {
    if (place.kind !== 'directory') continue;
    for await (const name of (place as FileSystemDirectoryHandle).keys()) {
      if (name.endsWith('.terrarium')) count++;
    }
  }
  return count;
}

/** What stores tell each other arrives in tasks of its own. */
const heard = () => new Promise((resolve) => setTimeout(resolve, 50));

async function rename(name: string): Promise<void> {
  const { revision } = await store.getProject(filled.projectId);
  await store.editProject(filled.projectId, revision, { name });
  await heard();
}

test('a folder that was picked is filled at once; later changes when they have rested', async () => {
  await backups.choose(handle);
  expect(await files()).toBe(1);
  await rename('Changed');
  await backups.look();
  expect(await files()).toBe(1);
  await rename('Changed again');
  await backups.look();
  expect(await files()).toBe(1);
  await backups.look();
  expect(await files()).toBe(2);
  await backups.look();
  expect(await files()).toBe(2);
  expect(backups.folder?.last?.bytes).toBeGreaterThan(1000);
  expect(backups.due).toEqual([]);
});

test('while a run goes on it waits, and the end of the run is saved at the next look', async () => {
  await backups.choose(handle);
  const run = await store.createRun(runDraft(filled.projectId, filled.datasetId));
  await heard();
  await backups.look();
  await backups.look();
  expect(await files()).toBe(1);
  await store.updateRun(run.id, { status: 'done' });
  await heard();
  await backups.look();
  expect(await files()).toBe(2);
});

test('a failure is said once, stays on the card, and goes when it is mended', async () => {
  await backups.choose(handle);
  const root = await navigator.storage.getDirectory();
  await root.removeEntry('Scheduled', { recursive: true });
  await rename('Changed');
  for (let look = 0; look < 4; look++) await backups.look();
  expect(toasts.list).toHaveLength(1);
  expect(backups.error).toMatchObject({ code: 'backup/gone' });
  handle = await root.getDirectoryHandle('Scheduled', { create: true });
  await backups.choose(handle);
  expect(backups.error).toBeNull();
  expect(await files()).toBe(1);
});

test('the line that reminds: after so many days, or so many runs, and never with a folder', async () => {
  await backups.load();
  expect(backups.onlyHere).toMatchObject({ runs: 1, models: 1, projects: 1 });
  expect(backups.reminder).not.toBeNull();
  const fresh = await store.createProject(projectDraft(filled.datasetId));
  await store.eraseProject(filled.projectId);
  await backups.load();
  expect(backups.reminder).toBeNull();
  const draft = { ...runDraft(fresh.id, filled.datasetId), createdAt: now };
  await store.createRun(draft);
  await backups.load();
  expect(backups.reminder).toBeNull();
  now += (REMIND_DAYS + 1) * DAY;
  expect(backups.reminder).toMatchObject({ runs: 1, models: 0 });
  now -= (REMIND_DAYS + 1) * DAY;
  await store.createRun(draft);
  await store.createRun(draft);
  await backups.load();
  expect(backups.reminder).toMatchObject({ runs: 3 });
  await backups.choose(handle);
  expect(backups.reminder).toBeNull();
});
