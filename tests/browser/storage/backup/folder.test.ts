/** Backups into a folder: one of the browser's own stands in for the one that a person picks. */
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { backupKey, readBackupStamp } from '../../../../src/protocol/backup';
import { Backup, isDue } from '../../../../src/services/backup';
import type { BackupFolder } from '../../../../src/services/backup';
import type { Store } from '../../../../src/storage/store';
import { fill, freshStores, runDraft } from '../fixtures';
import type { Filled } from '../fixtures';

const stores = freshStores();
const quiet = () => undefined;
let store: Store;
let filled: Filled;
let backup: Backup;
let folder: BackupFolder;
let now: number;

beforeEach(async () => {
  store = await stores.opened();
  filled = await fill(store);
  now = Date.now();
  backup = new Backup(store, () => (now += 1000));
  const root = await navigator.storage.getDirectory();
  folder = await backup.choose(await root.getDirectoryHandle('Backups', { create: true }), 2);
});

afterEach(async () => {
  const root = await navigator.storage.getDirectory();
  await root.removeEntry('Backups', { recursive: true }).catch(() => undefined);
});

const changed = async () => (await store.backupStates()).filter((state) => state.changed);
async function save(): Promise<BackupFolder> {
  const states = await store.backupStates();
  folder = await backup.save(
    folder,
    states.filter((state) => isDue(folder, state)),
    'call',
    quiet,
  );
  return folder;
}
const files = async () => (await backup.find(folder.handle)).map(({ name }) => name);

test('what changed goes into it once, and is only here no more', async () => {
  expect(await changed()).toMatchObject([{ runs: 1, models: 1, stamp: null }]);
  const { last } = await save();
  const [file, ...others] = await backup.find(folder.handle);
  expect(others).toEqual([]);
  expect(last?.bytes).toBe(file?.bytes);
  expect(await changed()).toEqual([]);
  const stamp = readBackupStamp(await store.getSetting(backupKey(filled.projectId)));
  expect(stamp).toMatchObject({ revision: 1, where: 'folder' });
  await save();
  expect(await files()).toHaveLength(1);
  await store.createRun({ ...runDraft(filled.projectId, filled.datasetId), createdAt: now + 5000 });
  expect(await changed()).toMatchObject([{ runs: 1, models: 0, running: true }]);

  const other = await stores.opened();
  const found = (await backup.find(folder.handle))[0];
  const opened = await other.importArchive(
    'c',
    (await found?.file.getFile()) ?? new Blob(),
    null,
    quiet,
  );
  expect(opened.projects).toMatchObject([{ id: filled.projectId }]);
  expect(await other.verify()).toEqual([]);
});

test('what was saved as a file only goes into the folder still, and into another folder anew', async () => {
  const { saved } = await store.exportArchive(
    'file',
    { projects: 'all', withData: true, withTrash: false },
    null,
    quiet,
  );
  await backup.stamp(saved, 'file');
  expect(await changed()).toEqual([]);
  await save();
  expect(await files()).toHaveLength(1);
  const root = await navigator.storage.getDirectory();
  folder = await backup.choose(await root.getDirectoryHandle('Other', { create: true }));
  await save();
  expect(await files()).toHaveLength(1);
  await root.removeEntry('Other', { recursive: true });
});

test('the last versions are kept, under their times, also when the project was renamed', async () => {
  const kept: string[] = [];
  for (const name of ['First', 'Second', 'Third', 'Fourth']) {
    const { revision } = await store.getProject(filled.projectId);
    await store.editProject(filled.projectId, revision, { name });
    await save();
    kept.push(...(await files()).filter((file) => !kept.includes(file)));
  }
  expect(kept).toHaveLength(4);
  expect(await files()).toEqual(kept.slice(2).reverse());
  const folders = new Set((await backup.find(folder.handle)).map((found) => found.folder));
  expect([...folders]).toEqual([`First ${filled.projectId.slice(0, 8)}`]);
});

test('a clock that is set back costs no backup', async () => {
  await save();
  now -= 3_600_000;
  for (const name of ['Second', 'Third']) {
    const { revision } = await store.getProject(filled.projectId);
    await store.editProject(filled.projectId, revision, { name });
    await save();
    now -= 1000;
  }
  // Two are kept: the newest by its time, and the one that was just made, twice under one time.
  const kept = await files();
  expect(kept).toHaveLength(2);
  const names = [];
  for (const found of await backup.find(folder.handle)) names.push(...(await backup.look(found)));
  expect(names.map(({ name }) => name)).toContain('Third');
});

test('the folder is found again after a restart, in the settings', async () => {
  await save();
  const again = await new Backup(store).folder();
  expect(again?.keep).toBe(2);
  expect(again?.last?.bytes).toBeGreaterThan(1000);
  expect(await again?.handle.isSameEntry(folder.handle)).toBe(true);
  expect(await backup.permission(folder)).toBe('granted');
  await backup.forget();
  expect(await backup.folder()).toBeNull();
  expect(await files()).toHaveLength(1);
});

describe('a failure leaves the former backups and says what to do', () => {
  beforeEach(async () => {
    await save();
    const { revision } = await store.getProject(filled.projectId);
    await store.editProject(filled.projectId, revision, { name: 'Changed' });
  });

  test.each([
    ['full', 'QuotaExceededError'],
    ['permission', 'NotAllowedError'],
    ['gone', 'NotFoundError'],
    ['failed', 'InvalidStateError'],
  ])('%s', async (code, thrown) => {
    const before = await files();
    const place = await placeOf();
    const getFileHandle = place.getFileHandle.bind(place);
    const values = folder.handle.values.bind(folder.handle);
    place.getFileHandle = async (...args) => {
      const file = await getFileHandle(...args);
      file.createWritable = () => Promise.reject(new DOMException('A fault was put in.', thrown));
      return file;
    };
    folder.handle.values = async function* () {
      for await (const entry of values()) yield entry.name === place.name ? place : entry;
    } as typeof folder.handle.values;
    await expect(save()).rejects.toMatchObject({ code: `backup/${code}` });
    expect(await files()).toEqual(before);
    expect(await changed()).toHaveLength(1);
  });

  test('the folder was taken away', async () => {
    const root = await navigator.storage.getDirectory();
    await root.removeEntry('Backups', { recursive: true });
    await expect(save()).rejects.toMatchObject({
      code: 'backup/gone',
      message: expect.stringContaining('Choose a folder again') as string,
    });
    expect(await changed()).toHaveLength(1);
  });

  test('a crash in the middle leaves a part, which the next backup replaces', async () => {
    const place = await placeOf();
    const part = await place.getFileHandle('saving.part', { create: true });
    const stream = await part.createWritable();
    await stream.write('half of a backup');
    await stream.close();
    expect(await files()).toHaveLength(1);
    await save();
    expect(await files()).toHaveLength(2);
    const left: string[] = [];
    for await (const name of place.keys()) left.push(name);
    expect(left).not.toContain('saving.part');
  });

  async function placeOf(): Promise<FileSystemDirectoryHandle> {
    for await (const entry of folder.handle.values()) {
      if (entry.kind === 'directory') return entry as FileSystemDirectoryHandle;
    }
    throw new Error('The project has no folder.');
  }
});

test('a browser that cannot move files copies them into place', async () => {
  const move = Object.getOwnPropertyDescriptor(FileSystemFileHandle.prototype, 'move');
  Reflect.deleteProperty(FileSystemFileHandle.prototype, 'move');
  try {
    await save();
    expect(await files()).toHaveLength(1);
  } finally {
    if (move) Object.defineProperty(FileSystemFileHandle.prototype, 'move', move);
  }
});

test('a locked project is backed up sealed, and only when it changed', async () => {
  const { projectId } = await store.createVault('Under lock', 'a goldfish in the rain');
  await store.closeVault(projectId);
  await save();
  expect(await changed()).toEqual([]);
  const found = await backup.find(folder.handle);
  const looked = await Promise.all(found.map((file) => backup.look(file)));
  expect(looked.flat()).toContainEqual({ id: projectId, name: 'Under lock', sealed: true });
});
