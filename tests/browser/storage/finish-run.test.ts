/** The end of a run: model and record together, whatever happens between. */
import { beforeEach, describe, expect, test } from 'vitest';
import type { Store } from '../../../src/storage/store';
import { everyCrashPoint, quietConsole } from './faulty-disk';
import {
  bytesOf,
  checkpointDraft,
  freshStores,
  modelDraft,
  projectDraft,
  putTable,
  runDraft,
} from './fixtures';

beforeEach(quietConsole);
const stores = freshStores();

async function trained(store: Store) {
  const datasetId = await putTable(store, 1);
  const { id: projectId } = await store.createProject(projectDraft(datasetId));
  const run = await store.createRun(runDraft(projectId, datasetId));
  await store.putCheckpoint(checkpointDraft(run.id, 5), bytesOf(5), null);
  const draft = modelDraft(projectId, run.id, datasetId);
  const end = { status: 'done', finishedAt: 7, seconds: 3, error: null } as const;
  return { run, draft, end };
}

describe.each(['quota', 'abort', 'killed'] as const)(
  'the end of a run with a fault at every write: %s',
  (fault) => {
    test('leaves the model and the ended record, or neither and the checkpoint', async () => {
      const writes = await everyCrashPoint(
        fault,
        trained,
        ({ run, draft, end }) =>
          async (store, promises) => {
            promises.set('both or neither', async (later) => {
              const { status, modelVersionId } = await later.getRun(run.id);
              const models = await later.listModels(run.projectId);
              expect(models).toHaveLength(status === 'done' ? 1 : 0);
              expect(modelVersionId).toBe(models[0]?.id ?? null);
              const checkpoint = await later.getCheckpoint(run.id);
              expect(checkpoint === null).toBe(status === 'done');
            });
            await store.finishRun(run.id, end, draft, bytesOf(9), null);
            promises.set('done', async (later) => {
              expect(await later.getRun(run.id)).toMatchObject({ status: 'done', seconds: 3 });
            });
          },
      );
      expect(writes).toBeGreaterThan(3);
    });
  },
);

test('a run that is finished again keeps its one model', async () => {
  const store = await stores.opened();
  const { run, draft, end } = await trained(store);
  const first = await store.finishRun(run.id, end, draft, bytesOf(9), null);
  const again = await store.finishRun(run.id, { ...end, seconds: 99 }, draft, bytesOf(9), null);
  expect(again).toEqual(first);
  expect(await store.listModels(run.projectId)).toHaveLength(1);
});

test('a run that has ended does not go on', async () => {
  const store = await stores.opened();
  const { run, draft, end } = await trained(store);
  await store.finishRun(run.id, end, draft, bytesOf(9), null);
  await expect(store.updateRun(run.id, { status: 'preparing' })).rejects.toMatchObject({
    code: 'store/run-finished',
  });
  expect(await store.updateRun(run.id, { name: 'Renamed' })).toMatchObject({ status: 'done' });
});
