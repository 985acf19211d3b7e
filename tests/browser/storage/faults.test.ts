/** One dataset, project, run, model and evaluation, with a fault at every write. See faulty-disk.ts. */
import { beforeEach, describe, expect, test } from 'vitest';
import type { Store } from '../../../src/storage/store';
import { createStoreApi } from '../../../src/storage/store';
import { FaultyDisk, everyCrashPoint, quietConsole } from './faulty-disk';
import type { Script } from './faulty-disk';
import {
  PREDICTIONS,
  bytesOf,
  checkpointDraft,
  deleteStore,
  evaluationDraft,
  fill,
  freshName,
  modelDraft,
  numbersIn,
  projectDraft,
  putTable,
  runDraft,
} from './fixtures';

beforeEach(quietConsole);

const work: Script = async (store, promises) => {
  const datasetId = await putTable(store, 1);
  promises.set('dataset', async (later) => {
    const { manifest } = await later.getDataset(datasetId);
    expect(manifest.rows).toBe(8);
  });
  const project = await store.createProject(projectDraft(datasetId));
  promises.set('project', async (later) => {
    expect(await later.getProject(project.id)).toMatchObject({ target: 'species' });
  });
  const edited = await store.editProject(project.id, 1, { name: 'Edited' });
  promises.set('edit', async (later) => {
    expect(await later.getProject(project.id)).toMatchObject({ name: edited.name });
  });
  const run = await store.createRun(runDraft(project.id, datasetId));
  promises.set('run', async (later) => {
    expect(await later.getRun(run.id)).toMatchObject({ number: 1, curve: run.curve });
  });
  const model = await store.putModel(modelDraft(project.id, run.id, datasetId), bytesOf(2));
  promises.set('model', async (later) => {
    const { file } = await later.getModel(model.id);
    expect(numbersIn(await later.getChunk(file))).toEqual(numbersIn(bytesOf(2)));
  });
  await store.setStage(model.id, 'champion');
  await store.updateRun(run.id, { status: 'done', modelVersionId: model.id });
  promises.set('done', async (later) => {
    expect(await later.getRun(run.id)).toMatchObject({ status: 'done' });
    expect(await later.getModel(model.id)).toMatchObject({ stage: 'champion' });
  });
  const evaluation = await store.putEvaluation(
    evaluationDraft(project.id, model.id, datasetId),
    PREDICTIONS,
  );
  promises.set('evaluation', async (later) => {
    expect(await later.getPredictions(evaluation.id)).toEqual(PREDICTIONS);
  });
};

describe.each(['quota', 'abort', 'killed'] as const)('every write fails once: %s', (fault) => {
  test('from the data to the evaluation', async () => {
    const writes = await everyCrashPoint(
      fault,
      async () => null,
      () => work,
    );
    expect(writes).toBeGreaterThan(15);
  });

  test('checkpoints: the former or the new one, whole, and never none', async () => {
    const setup = async (store: Store) => {
      const datasetId = await putTable(store, 1);
      const { id } = await store.createProject(projectDraft(datasetId));
      return store.createRun(runDraft(id, datasetId));
    };
    const writes = await everyCrashPoint(fault, setup, (run) => async (store, promises) => {
      for (const step of [1, 2, 3]) {
        const allowed = step === 1 ? [null, 1] : [step - 1, step];
        promises.set('checkpoint', async (later) => {
          const found = await later.getCheckpoint(run.id);
          expect(allowed).toContain(found?.checkpoint.step ?? null);
          if (!found) return;
          const { checkpoint, state, best } = found;
          expect(numbersIn(state)).toEqual(numbersIn(bytesOf(checkpoint.step)));
          expect(numbersIn(best)).toEqual(numbersIn(bytesOf(checkpoint.step + 10)));
        });
        await store.putCheckpoint(checkpointDraft(run.id, step), bytesOf(step), bytesOf(step + 10));
      }
      promises.set('checkpoint', async (later) => {
        expect((await later.getCheckpoint(run.id))?.checkpoint.step).toBe(3);
      });
    });
    expect(writes).toBeGreaterThanOrEqual(15);
  });
});

test('a full disk at the start keeps nobody out', async () => {
  const name = freshName();
  const disk = new FaultyDisk(1, 'killed');
  const store = createStoreApi({ name });
  await store.open();
  const { projectId } = await fill(store);
  await store.putChunk(bytesOf(200));
  store.close();
  disk.armed = true;
  const full = createStoreApi({ name, middleware: disk.middleware });
  expect(await full.open()).toMatchObject({ readOnly: false });
  expect((await full.exportProject(projectId, { withData: true })).file.size).toBeGreaterThan(500);
  full.close();
  await deleteStore(name);
});
