/** Archives of many projects, what they share, what is left out of them, and files of the first format. */
import { beforeEach, describe, expect, test } from 'vitest';
import secondFormat from '../../../fixtures/project-files/format-2.terrarium?url';
import firstFormat from '../../../fixtures/project-files/format-1.terrarium?url';
import type { ExportRequest } from '../../../../src/protocol/backup';
import type { Store } from '../../../../src/storage/store';
import {
  PREDICTIONS,
  bytesOf,
  fill,
  finished,
  freshStores,
  modelDraft,
  numbersIn,
  projectDraft,
  rawDatabase,
  runDraft,
} from '../fixtures';
import type { Filled } from '../fixtures';
import { SUMMARY } from '../pretrained-fixture';
import { unzip } from '../zip-edit';

const stores = freshStores();
const EVERYTHING: ExportRequest = { projects: 'all', withData: true, withTrash: false };
const quiet = () => undefined;
let name: string;
let store: Store;
let filled: Filled;

beforeEach(async () => {
  name = stores.name();
  store = await stores.opened({ name });
  filled = await fill(store);
});

async function save(request: Partial<ExportRequest> = {}, from = store): Promise<Blob> {
  const { file } = await from.exportArchive('save', { ...EVERYTHING, ...request }, null, quiet);
  if (!file) throw new Error('There is no file.');
  return file;
}

async function manifestOf(file: Blob) {
  const text = new TextDecoder().decode((await unzip(file)).get('manifest.json'));
  return JSON.parse(text) as { format: number; leftOut?: { what: string; why: string }[] };
}

/** Every record and every byte that two stores hold for their projects. */
async function everythingIn(from: Store): Promise<unknown> {
  const projects = [
    ...(await from.listProjects()),
    ...(await from.listProjects({ trashed: true })),
  ];
  const all = projects.map(async (project) => ({
    project,
    runs: await from.listRuns(project.id),
    models: await from.listModels(project.id),
    evaluations: await from.listEvaluations(project.id),
  }));
  return { projects: await Promise.all(all), datasets: await from.listDatasets() };
}

describe('everything', () => {
  test('comes as one file: what projects share once, settings, bodies, and the trash by choice', async () => {
    const { datasetId } = filled;
    const second = await store.createProject({ ...projectDraft(datasetId), name: 'Second' });
    const trashed = await store.createProject({ ...projectDraft(datasetId), name: 'Trashed' });
    await store.trashProject(trashed.id);
    const summary = { ...SUMMARY };
    const body = await store.putPretrained({ name: 'tiny', summary }, new Blob([bytesOf(7, 500)]));
    await store.setSetting('train-view', { smooth: true });
    await store.setSetting('device-probe', { of: 'this machine' });
    const plan = await store.planExport(EVERYTHING);
    expect(new Set(plan.contents)).toEqual(
      new Set([
        '“Which penguin?”: 1 run, 1 model',
        'all 8 rows of measures-1.csv',
        '“Second”: 0 runs, 0 models',
        'the pretrained model tiny (0.0 MB)',
        'how the Train screen is set',
      ]),
    );
    const file = await save();
    const names = [...(await unzip(file)).keys()];
    expect(names.slice(0, 2)).toEqual(['manifest.json', 'index.json']);
    expect(names.filter((entry) => entry.startsWith('datasets/'))).toHaveLength(1);
    expect(names.filter((entry) => entry.startsWith('projects/'))).toHaveLength(2);
    const other = await stores.opened();
    const { projects } = await other.importArchive('open', file, null, quiet);
    expect(projects.map((project) => project.id).sort()).toEqual(
      [filled.projectId, second.id].sort(),
    );
    expect(await other.getSetting('train-view')).toEqual({ smooth: true });
    expect(await other.getSetting('device-probe')).toBeUndefined();
    expect(numbersIn(await other.getPretrainedFile(body.id))).toEqual(numbersIn(bytesOf(7, 500)));
    expect(await other.verify()).toEqual([]);

    const withTrash = await stores.opened();
    await withTrash.importArchive('open', await save({ withTrash: true }), null, quiet);
    expect(await everythingIn(withTrash)).toEqual(await everythingIn(store));
    expect(await withTrash.verify()).toEqual([]);
  });

  test('is looked into first, and only what was chosen is opened', async () => {
    const second = await fill(store, 2);
    const file = await save();
    const other = await stores.opened();
    const summary = await other.readArchive(file);
    expect(summary).toMatchObject({ kind: 'archive', bytes: file.size, leftOut: [] });
    expect(summary.projects.map((project) => project.id).sort()).toEqual(
      [filled.projectId, second.projectId].sort(),
    );
    await other.importArchive('open', file, [second.projectId], quiet);
    expect((await other.listProjects()).map((project) => project.id)).toEqual([second.projectId]);
    expect(await other.listDatasets()).toHaveLength(1);
    expect(await other.verify()).toEqual([]);
  });

  test('never touches a project that is here: what is in the file becomes a copy', async () => {
    const file = await save();
    await store.editProject(filled.projectId, 1, { name: 'Changed since' });
    const before = await everythingIn(store);
    const { projects } = await store.importArchive('open', file, null, quiet);
    expect(projects).toMatchObject([{ name: 'Which penguin?', revision: 1 }]);
    expect(projects[0]?.id).not.toBe(filled.projectId);
    await store.eraseProject(projects[0]?.id ?? '');
    expect(await everythingIn(store)).toEqual(before);
    expect(await store.verify()).toEqual([]);
  });

  test('never changes a setting that is set here', async () => {
    await store.setSetting('train-view', { smooth: true });
    const file = await save();
    await store.setSetting('train-view', { smooth: false });
    await store.importArchive('open', file, null, quiet);
    expect(await store.getSetting('train-view')).toEqual({ smooth: false });
  });
});

describe('models in the trash', () => {
  test('go along by choice, and stay in the trash', async () => {
    await store.trashModel(filled.modelId);
    const request = { projects: [filled.projectId], withTrash: true };
    const file = await save(request);
    expect((await manifestOf(file)).format).toBe(2);
    const other = await stores.opened();
    await other.importArchive('open', file, null, quiet);
    expect(await other.getModel(filled.modelId)).toEqual(await store.getModel(filled.modelId));
    expect((await other.getModel(filled.modelId)).trashedAt).not.toBeNull();
  });
});

test('a run that is going on is opened as stopped: its checkpoint stays here', async () => {
  const run = await store.createRun(runDraft(filled.projectId, filled.datasetId));
  const other = await stores.opened();
  await other.importArchive('open', await save(), null, quiet);
  expect(await other.getRun(run.id)).toEqual({ ...run, status: 'stopped' });
});

test('a file of the first format opens, and what needs no more is still written in it', async () => {
  const file = await (await fetch(firstFormat)).blob();
  const other = await stores.opened();
  const project = await other.importProject(file);
  expect(project.name).toBe('Which penguin?');
  expect(await other.listModels(project.id)).toHaveLength(2);
  expect(await other.listPretrained()).toHaveLength(1);
  expect(await other.verify()).toEqual([]);
  const again = await other.exportProject(project.id, { withData: true });
  expect((await manifestOf(again.file)).format).toBe(1);
});

test('a file of the second format opens: two projects, one without its rows', async () => {
  const other = await stores.opened();
  const file = await (await fetch(secondFormat)).blob();
  const { projects, notes } = await other.importArchive('open', file, null, quiet);
  expect(projects).toHaveLength(2);
  expect(notes).toEqual([expect.stringContaining('measures-2.csv')]);
  expect((await other.listDatasets()).map((row) => row.rowsLeftOut === true).sort()).toEqual([
    false,
    true,
  ]);
  expect(await other.verify()).toEqual([]);
});

test('what lies in parts needs the second format', async () => {
  const small = await stores.opened({ partBytes: 32 });
  const { projectId } = await fill(small);
  const { file } = await small.exportProject(projectId, { withData: true });
  expect((await manifestOf(file)).format).toBe(2);
  const other = await stores.opened();
  await other.importProject(file);
  expect(await everythingIn(other)).toEqual(await everythingIn(small));
  expect(await other.verify()).toEqual([]);
});

test('the same project makes the same file, byte for byte', async () => {
  const [first, second] = [await save(), await save()];
  expect(new Uint8Array(await first.arrayBuffer())).toEqual(
    new Uint8Array(await second.arrayBuffer()),
  );
});

describe('a damaged store', () => {
  async function edit(key: string, work: (rows: IDBObjectStore) => IDBRequest): Promise<void> {
    const database = await rawDatabase(`${name}-cache`);
    const rows = database.transaction('chunks', 'readwrite').objectStore('chunks');
    await finished(work(rows));
    database.close();
    expect(key).not.toBe('');
  }
  const spoil = (key: string, length = 64) =>
    edit(key, (rows) => rows.put({ storageKey: key, bytes: bytesOf(250, length) }));
  const lose = (key: string) => edit(key, (rows) => rows.delete(key));

  async function rowsKey(): Promise<string> {
    const { manifest } = await store.getDataset(filled.datasetId);
    return manifest.type === 'table' ? (manifest.columns[0]?.chunks[0]?.storageKey ?? '') : '';
  }
  const modelKey = async () => (await store.getModel(filled.modelId)).file.storageKey;

  test.each([
    ['spoiled', spoil, 'does not match its hash'],
    ['lost', lose, 'is missing'],
  ] as const)(
    'rows that are %s stay out, with the reason; the rest goes along',
    async (_, harm, why) => {
      await harm(await rowsKey());
      const exported = await store.exportArchive('save', EVERYTHING, null, quiet);
      expect(exported.leftOut).toEqual([expect.stringContaining('all rows of measures-1.csv')]);
      expect(exported.leftOut[0]).toContain(why);
      expect(exported.contents.at(-1)).toContain(why);
      const file = exported.file ?? new Blob();
      expect((await manifestOf(file)).leftOut).toHaveLength(1);
      const other = await stores.opened();
      const { notes, projects } = await other.importArchive('open', file, null, quiet);
      expect(notes).toEqual(exported.leftOut);
      expect(await other.getDataset(filled.datasetId)).toMatchObject({ rowsLeftOut: true });
      const [evaluation] = await other.listEvaluations(projects[0]?.id ?? '');
      expect(await other.getPredictions(evaluation?.id ?? '')).toEqual(PREDICTIONS);
      expect(await other.verify()).toEqual([]);
    },
  );

  test('a model without its file is named in words and left out, and nothing points to it', async () => {
    const child = { ...modelDraft(filled.projectId, null, null), parentId: filled.modelId };
    const { id } = await store.putModel(child, bytesOf(60));
    await spoil(await modelKey(), 96);
    const { file } = await store.exportProject(filled.projectId, { withData: true });
    const other = await stores.opened();
    const summary = await other.readArchive(file);
    expect(summary.leftOut).toEqual([expect.stringMatching(/^the file of model 1 “Linear”: /)]);
    const project = await other.importProject(file);
    expect(await other.listModels(project.id)).toMatchObject([{ id, parentId: null }]);
    expect(await other.listEvaluations(project.id)).toEqual([]);
    expect(await other.listRuns(project.id)).toMatchObject([{ modelVersionId: null }]);
    expect(await other.verify()).toEqual([]);
  });

  test('all that is damaged is found at once, and the file under the old name stays until then', async () => {
    await spoil(await rowsKey());
    await spoil(await modelKey(), 96);
    const root = await navigator.storage.getDirectory();
    const handle = await root.getFileHandle(`${name}.terrarium`, { create: true });
    let opened = 0;
    const createWritable = handle.createWritable.bind(handle);
    handle.createWritable = () => {
      opened++;
      return createWritable();
    };
    const exported = await store.exportArchive('save', EVERYTHING, handle, quiet);
    expect(opened).toBe(2);
    expect(exported.leftOut).toHaveLength(2);
    const other = await stores.opened();
    await other.importArchive('open', await handle.getFile(), null, quiet);
    expect(await other.verify()).toEqual([]);
    await root.removeEntry(`${name}.terrarium`);
  });

  test('records that lead nowhere are left out', async () => {
    const database = await rawDatabase(`${name}-core`);
    const rows = database.transaction('datasets', 'readwrite').objectStore('datasets');
    await finished(rows.delete(filled.datasetId));
    database.close();
    const { file, contents } = await store.exportProject(filled.projectId, { withData: true });
    expect(contents.join()).toContain('not run 1 “Linear”');
    const other = await stores.opened();
    const project = await other.importProject(file);
    expect(project.datasetId).toBeNull();
    expect(await other.listModels(project.id)).toHaveLength(1);
    expect(await other.verify()).toEqual([]);
  });
});

describe('cancelled', () => {
  test('an export leaves the former file as it was', async () => {
    const root = await navigator.storage.getDirectory();
    const handle = await root.getFileHandle(`${name}.terrarium`, { create: true });
    const stream = await handle.createWritable();
    await stream.write('the former file');
    await stream.close();
    const saving = store.exportArchive('save', EVERYTHING, handle, () => {
      void store.cancelArchive('save');
    });
    await expect(saving).rejects.toMatchObject({ code: 'backup/cancelled' });
    expect(await (await handle.getFile()).text()).toBe('the former file');
    await root.removeEntry(`${name}.terrarium`);
  });

  test('an import keeps nothing of what it was at', async () => {
    const file = await save();
    const other = await stores.opened();
    const opening = other.importArchive('open', file, null, ({ label }) => {
      if (label === 'Storing') void other.cancelArchive('open');
    });
    await expect(opening).rejects.toMatchObject({ code: 'backup/cancelled' });
    expect(await other.listProjects()).toEqual([]);
    expect(await other.collectGarbage()).toBe(0);
    expect(await other.verify()).toEqual([]);
  });
});
