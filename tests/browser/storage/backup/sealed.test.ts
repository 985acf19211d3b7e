/** Locked projects in archives: as ciphertext, saved without a passphrase and opened only with it. */
import { beforeEach, expect, test } from 'vitest';
import type { Store } from '../../../../src/storage/store';
import { fill, freshStores, projectDraft, tableManifest } from '../fixtures';
import { editText, relist, rezip, unzip } from '../zip-edit';

const stores = freshStores();
const PASSPHRASE = 'a goldfish in the rain';
const CANARY = 'canary-51d0';
const EVERYTHING = { projects: 'all', withData: true, withTrash: false } as const;
const quiet = () => undefined;
let name: string;
let store: Store;
let locked: string;

beforeEach(async () => {
  name = stores.name();
  store = await stores.opened({ name });
  await fill(store);
  locked = (await store.createVault('Under lock', PASSPHRASE)).projectId;
  const source = { kind: 'file', name: `${CANARY}.csv` } as const;
  const importId = await store.beginImport({ source, bytes: 64, into: locked });
  const chunk = await store.putChunk(new TextEncoder().encode(CANARY).buffer, importId);
  const dataset = await store.putDataset(tableManifest(chunk, `${CANARY}.csv`), importId);
  await store.createProject({ ...projectDraft(dataset.id), name: CANARY }, locked);
});

async function save(): Promise<Blob> {
  const { file } = await store.exportArchive('save', EVERYTHING, null, quiet);
  return file ?? new Blob();
}

test.each([true, false])('saved while it is open: %s', async (open) => {
  if (!open) await store.closeVault(locked);
  const plan = await store.planExport(EVERYTHING);
  expect(plan.contents.join()).toContain('“Under lock”: locked, as it lies sealed');
  const file = await save();
  expect(await file.text()).not.toContain(CANARY);
  const other = await stores.opened();
  expect((await other.readArchive(file)).projects).toMatchObject([
    { name: 'Which penguin?', sealed: false },
    { id: locked, name: 'Under lock', sealed: true },
  ]);
  const imported = await other.importArchive('open', file, null, quiet);
  expect(imported.sealed).toMatchObject([{ id: locked }]);
  expect(imported.projects).toHaveLength(1);
  await expect(other.getProject(locked)).rejects.toMatchObject({ code: 'vault/closed' });
  const wrong = other.unlockVault(locked, { passphrase: 'a goldfish in the sun' });
  await expect(wrong).rejects.toThrow();
  const { project } = await other.unlockVault(locked, { passphrase: PASSPHRASE });
  expect(project?.name).toBe(CANARY);
  const { manifest } = await other.getDataset(project?.datasetId ?? '');
  const [column] = manifest.type === 'table' ? manifest.columns : [];
  const chunk = column?.chunks[0];
  expect(chunk && new TextDecoder().decode(await other.getChunk(chunk))).toBe(CANARY);
  expect(await other.verify()).toEqual([]);
});

test('one that is here already is not touched, and says so', async () => {
  const file = await save();
  await expect(store.importArchive('open', file, [locked], quiet)).rejects.toMatchObject({
    code: 'vault/exists',
  });
  const all = await store.importArchive('open', file, null, quiet);
  expect(all.sealed).toEqual([]);
  expect(all.notes.join()).toContain('“Under lock” is here already');
  expect((await store.getProject(locked)).name).toBe(CANARY);
});

test('one file for one locked project', async () => {
  await store.closeVault(locked);
  const request = { ...EVERYTHING, projects: [locked] };
  const { file } = await store.exportArchive('save', request, null, quiet);
  const other = await stores.opened();
  const { projects, sealed } = await other.importArchive('open', file ?? new Blob(), null, quiet);
  expect([projects.length, sealed.length]).toEqual([0, 1]);
});

test('sealed records of another project are refused, and so are changed places', async () => {
  const file = await save();
  for (const edit of [
    (text: string) => text.replace(/"projectId":"[\w-]+"/, `"projectId":"${crypto.randomUUID()}"`),
    (text: string) => text.replace(/"format":1/, '"format":2'),
    (text: string) => text.replace(/("storageKey".*"sha256":")[0-9a-f]{4}/, '$10000'),
  ]) {
    const entries = await unzip(file);
    editText(entries, `sealed/${locked}.json`, edit);
    await relist(entries);
    const other = await stores.opened();
    const opening = other.importArchive('open', await rezip(entries), null, quiet);
    await expect(opening).rejects.toMatchObject({
      code: expect.stringMatching(/^project-file\//) as string,
    });
    expect(await other.listVaults()).toEqual([]);
    expect(await other.listProjects()).toEqual([]);
  }
});
