import { describe, expect, test } from 'vitest';
import type { ProjectEdit } from '../../../src/protocol/entities';
import {
  DAY,
  PREDICTIONS,
  bytesOf,
  evaluationDraft,
  fill,
  freshStores,
  modelDraft,
  projectDraft,
  putTable,
  runDraft,
  tableManifest,
} from './fixtures';

const stores = freshStores();

describe('datasets and chunks', () => {
  test('equal bytes have one place, and come back', async () => {
    const store = await stores.opened();
    const first = await store.putChunk(bytesOf(1));
    const second = await store.putChunk(bytesOf(1));
    expect(second).toEqual(first);
    expect(new Uint8Array(await store.getChunk(first))).toEqual(new Uint8Array(bytesOf(1)));
  });

  test('a chunk of 8 MiB makes the way and back', async () => {
    const store = await stores.opened();
    const big = new Float64Array(2 ** 20).map((_, index) => index / 3).buffer;
    const ref = await store.putChunk(big);
    expect(ref.bytes).toBe(8 * 2 ** 20);
    expect(new Float64Array(await store.getChunk(ref))[999_999]).toBe(999_999 / 3);
  });

  test('an equal manifest is the same version', async () => {
    const store = await stores.opened({ now: () => 5 });
    const manifest = tableManifest(await store.putChunk(bytesOf(1)));
    const version = await store.putDataset(manifest);
    expect(version).toEqual({
      id: expect.stringMatching(/^[0-9a-f]{64}$/),
      createdAt: 5,
      manifest,
    });
    expect(await store.putDataset(structuredClone(manifest))).toEqual(version);
    expect(await store.listDatasets()).toEqual([version]);
    expect(await store.getDataset(version.id)).toEqual(version);
  });

  test('a manifest whose chunk is not there is refused', async () => {
    const store = await stores.opened();
    const ghost = { sha256: 'f'.repeat(64), storageKey: 'f'.repeat(64), bytes: 3 };
    await expect(store.putDataset(tableManifest(ghost))).rejects.toMatchObject({
      code: 'store/missing-chunk',
    });
    expect(await store.listDatasets()).toEqual([]);
  });
});

describe('projects', () => {
  test('are created, edited in every field, and survive reopening', async () => {
    let now = 100;
    const name = stores.name();
    const store = await stores.opened({ name, now: () => now });
    const datasetId = await putTable(store, 1);
    const created = await store.createProject(projectDraft());
    expect(created).toMatchObject({ createdAt: 100, updatedAt: 100, testOpened: 0, revision: 1 });
    now = 200;
    const edit: ProjectEdit = {
      name: 'Renamed',
      datasetId,
      target: 'body',
      task: 'regression',
      gates: [],
      recipe: { format: 1, use: {}, imputeNumeric: 'mean', standardise: false },
      split: { kind: 'stratified', train: 0.5, validation: 0.25, test: 0.25, seed: 9 },
      blueprint: { kind: 'mlp', hidden: [8], activation: 'gelu', dropout: 0 },
      training: null,
      seed: 8,
      executor: 'wasm',
      temporary: true,
    };
    const edited = await store.editProject(created.id, 1, edit);
    expect(edited).toEqual({ ...created, ...edit, updatedAt: 200, revision: 2 });
    store.close();
    const again = await stores.opened({ name });
    expect(await again.getProject(created.id)).toEqual(edited);
    expect(await again.verify()).toEqual([]);
  });

  test('an older revision is refused and nothing is lost', async () => {
    const name = stores.name();
    const [here, there] = [await stores.opened({ name }), await stores.opened({ name })];
    const { id } = await here.createProject(projectDraft());
    await there.editProject(id, 1, { name: 'First' });
    await expect(here.editProject(id, 1, { name: 'Second' })).rejects.toMatchObject({
      code: 'store/conflict',
      data: { revision: 1, current: 2 },
    });
    expect((await here.getProject(id)).name).toBe('First');
  });

  test('only what a person edits can be edited', async () => {
    const store = await stores.opened();
    const { id } = await store.createProject(projectDraft());
    const sly = { testOpened: 0 } as ProjectEdit;
    await expect(store.editProject(id, 1, sly)).rejects.toMatchObject({
      code: 'store/not-editable',
    });
    await expect(store.editProject(id, 1, { datasetId: 'missing' })).rejects.toMatchObject({
      code: 'store/not-found',
    });
    expect((await store.getProject(id)).revision).toBe(1);
  });

  test('openings of the test part are counted, also at the same moment', async () => {
    const store = await stores.opened();
    const { id } = await store.createProject(projectDraft());
    await Promise.all([store.openTest(id), store.openTest(id), store.openTest(id)]);
    expect((await store.getProject(id)).testOpened).toBe(3);
  });

  test('a duplicate shares bytes, not records, and keeps the count of openings', async () => {
    const store = await stores.opened();
    const original = await fill(store);
    await store.openTest(original.projectId);
    const copy = await store.duplicateProject(original.projectId);
    expect(copy).toMatchObject({ name: 'Which penguin? (copy)', testOpened: 1, revision: 1 });
    const [model] = await store.listModels(copy.id);
    const [run] = await store.listRuns(copy.id);
    const [evaluation] = await store.listEvaluations(copy.id);
    expect(model?.id).not.toBe(original.modelId);
    expect(model?.file).toEqual((await store.getModel(original.modelId)).file);
    expect(model?.runId).toBe(run?.id);
    expect(run).toMatchObject({ modelVersionId: model?.id, status: 'done' });
    expect(await store.getPredictions(evaluation?.id ?? '')).toEqual(PREDICTIONS);
    expect((await store.describeDeletion(copy.id)).bytes).toBe(0);
    await store.eraseProject(original.projectId);
    expect(await store.verify()).toEqual([]);
    expect((await store.getDataset(original.datasetId)).manifest.rows).toBe(8);
  });

  test('trash, restore, erase', async () => {
    const store = await stores.opened({ now: () => 50 });
    const filled = await fill(store);
    await store.trashProject(filled.projectId);
    expect(await store.listProjects()).toEqual([]);
    expect(await store.listProjects({ trashed: true })).toMatchObject([{ trashedAt: 50 }]);
    await store.restoreProject(filled.projectId);
    expect(await store.listProjects()).toMatchObject([{ id: filled.projectId, trashedAt: null }]);

    const deletion = await store.describeDeletion(filled.projectId);
    // The dataset's chunk, the model's file and 2 + 2 * 5 packed figures.
    expect(deletion).toEqual({ runs: 1, models: 1, bytes: 64 + 96 + 8 * 12 });
    const { file } = await store.getModel(filled.modelId);
    expect(await store.eraseProject(filled.projectId)).toEqual({ bytes: deletion.bytes });
    await expect(store.getProject(filled.projectId)).rejects.toMatchObject({
      code: 'store/not-found',
    });
    await expect(store.getDataset(filled.datasetId)).rejects.toThrow();
    await expect(store.getChunk(file)).rejects.toMatchObject({ code: 'store/corrupt' });
    expect(await store.verify()).toEqual([]);
  });

  test('a dataset that only undo knows goes with its project', async () => {
    const store = await stores.opened();
    const former = await putTable(store, 1);
    const { id, revision } = await store.createProject(projectDraft(former));
    await store.editProject(id, revision, { datasetId: await putTable(store, 2) });
    expect(await store.getDataset(former)).toBeDefined();
    await store.eraseProject(id);
    expect(await store.listDatasets()).toEqual([]);
    expect(await store.verify()).toEqual([]);
  });

  test('the trash is emptied after 30 days, at the next start', async () => {
    const name = stores.name();
    let now = 0;
    const store = await stores.opened({ name, now: () => now });
    const [old, young] = [await fill(store, 1), await fill(store, 2)];
    const kept = await fill(store, 3);
    await store.trashProject(old.projectId);
    await store.trashModel(kept.modelId);
    now = 5 * DAY;
    await store.trashProject(young.projectId);
    store.close();
    now = 31 * DAY;
    const later = await stores.opened({ name, now: () => now });
    expect((await later.listProjects({ trashed: true })).map((row) => row.id)).toEqual([
      young.projectId,
    ]);
    expect(await later.listModels(kept.projectId)).toEqual([]);
    expect(await later.getRun(kept.runId)).toMatchObject({ modelVersionId: null });
    expect(await later.verify()).toEqual([]);
  });
});

describe('runs, models, evaluations', () => {
  test('runs are numbered in their project and patched', async () => {
    const store = await stores.opened();
    const datasetId = await putTable(store, 1);
    const { id } = await store.createProject(projectDraft(datasetId));
    const [first, second] = await Promise.all([
      store.createRun(runDraft(id, datasetId)),
      store.createRun(runDraft(id, datasetId)),
    ]);
    expect([first.number, second.number].sort()).toEqual([1, 2]);
    const curve = [{ step: 3, epoch: 1, series: 'validation', loss: 0.5, metric: 0.8 }] as const;
    const updated = await store.updateRun(first.id, { curve, stepsDone: 3 });
    expect(updated).toEqual({ ...first, curve, stepsDone: 3 });
    expect(await store.getRun(first.id)).toEqual(updated);
    const change = { number: 4 } as Parameters<typeof store.updateRun>[1];
    await expect(store.updateRun(first.id, change)).rejects.toMatchObject({
      code: 'store/not-editable',
    });
    await expect(store.createRun(runDraft('nobody', datasetId))).rejects.toMatchObject({
      code: 'store/not-found',
    });
  });

  test('a project has one champion, and models keep their numbers', async () => {
    const store = await stores.opened();
    const { projectId, modelId, runId, datasetId } = await fill(store);
    const draft = { ...modelDraft(projectId, runId, datasetId), parentId: modelId };
    const second = await store.putModel(draft, bytesOf(9));
    expect(second.number).toBe(2);
    await store.setStage(modelId, 'champion');
    await store.trashModel(modelId);
    await store.setStage(second.id, 'champion');
    await store.restoreModel(modelId);
    expect((await store.listModels(projectId)).map((model) => model.stage)).toEqual([
      'retired',
      'champion',
    ]);
    const third = await store.putModel({ ...draft, stage: 'champion' }, bytesOf(9));
    expect(third).toMatchObject({ number: 3, file: second.file });
    expect(await store.getModel(second.id)).toMatchObject({ stage: 'retired' });
    expect(await store.renameModel(third.id, 'Small')).toMatchObject({ name: 'Small' });
    expect(await store.verify()).toEqual([]);
  });

  test('two models at once get two numbers', async () => {
    const store = await stores.opened();
    const { id } = await store.createProject(projectDraft());
    const put = (seed: number) => store.putModel(modelDraft(id, null, null), bytesOf(seed));
    const models = await Promise.all([put(1), put(2), put(3)]);
    expect(models.map((model) => model.number).sort()).toEqual([1, 2, 3]);
  });

  test('predictions come back to the last bit', async () => {
    const store = await stores.opened();
    const { projectId, modelId, datasetId, evaluationId } = await fill(store);
    expect(await store.getPredictions(evaluationId)).toEqual(PREDICTIONS);
    const [evaluation] = await store.listEvaluations(projectId);
    expect(evaluation).toEqual({
      ...evaluationDraft(projectId, modelId, datasetId),
      id: evaluationId,
      format: 1,
      createdAt: expect.any(Number),
    });
    // What could not be measured is kept as it is.
    const draft = evaluationDraft(projectId, modelId, datasetId);
    const unmeasured = { ...draft.latency, medianMs: NaN };
    await store.putEvaluation({ ...draft, latency: unmeasured }, []);
    expect((await store.listEvaluations(projectId))[1]?.latency).toEqual(unmeasured);
    const empty = await store.putEvaluation(evaluationDraft(projectId, modelId, datasetId), []);
    expect(await store.getPredictions(empty.id)).toEqual([]);
  });
});

test('settings, usage, and erasing everything', async () => {
  const store = await stores.opened();
  expect(await store.getSetting('theme')).toBeUndefined();
  await store.setSetting('__proto__', { dark: true });
  expect(await store.getSetting('__proto__')).toEqual({ dark: true });
  const filled = await fill(store);
  expect(await store.usage()).toMatchObject({
    bytes: expect.any(Number),
    quota: expect.any(Number),
    persisted: expect.any(Boolean),
  });
  const { file } = await store.getModel(filled.modelId);
  await store.eraseEverything();
  expect(await store.listProjects()).toEqual([]);
  expect(await store.listDatasets()).toEqual([]);
  expect(await store.getSetting('__proto__')).toBeUndefined();
  await expect(store.getChunk(file)).rejects.toMatchObject({ code: 'store/corrupt' });
  expect(await store.collectGarbage()).toBe(0);
  await fill(store);
  expect(await store.verify()).toEqual([]);
});
