/** Crash points of a locked project: each write to the disk fails in turn, and what was acknowledged is there. */
import { beforeEach, describe, expect, test } from 'vitest';
import type { Id } from '../../../src/protocol/entities';
import type { Store } from '../../../src/storage/store';
import { rounds } from '../../support/rounds';
import { everyCrashPoint, quietConsole } from './faulty-disk';
import {
  PREDICTIONS,
  bytesOf,
  checkpointDraft,
  evaluationDraft,
  fill,
  modelDraft,
  numbersIn,
  projectDraft,
  runDraft,
  tableManifest,
} from './fixtures';

const PASSPHRASE = 'four words of it';

beforeEach(quietConsole);

async function begun(store: Store) {
  const { projectId } = await store.createVault('Locked project', PASSPHRASE);
  return { projectId };
}

/** Opens the lock of a store that was opened anew; everything in it must be sound. */
async function unlocked(store: Store, projectId: Id): Promise<Store> {
  await store.unlockVault(projectId, { passphrase: PASSPHRASE });
  expect(await store.verify()).toEqual([]);
  expect(await store.collectGarbage()).toBe(0);
  return store;
}

// A key is made of a passphrase at every crash point: the other two faults are for `npm run faults`.
const FAULTS = (['killed', 'quota', 'abort'] as const).slice(0, rounds(1, 3));

describe.each(FAULTS)('every write fails once: %s', (fault) => {
  test('a locked project keeps what it acknowledged', async () => {
    const writes = await everyCrashPoint(
      fault,
      begun,
      ({ projectId }) =>
        async (store, promises) => {
          promises.set('sound', async (later) => void (await unlocked(later, projectId)));
          const source = { kind: 'file', name: 'a.csv' } as const;
          const importId = await store.beginImport({ source, bytes: 64, into: projectId });
          const chunk = await store.putChunk(bytesOf(1), importId);
          const dataset = await store.putDataset(tableManifest(chunk), importId);
          promises.set('data', async (later) => {
            expect(numbersIn(await later.getChunk(chunk))).toEqual(numbersIn(bytesOf(1)));
            await later.getDataset(dataset.id);
          });
          const project = await store.createProject(projectDraft(dataset.id), projectId);
          promises.set('project', async (later) => void (await later.getProject(project.id)));
          const run = await store.createRun(runDraft(project.id, dataset.id));
          promises.set('run', async (later) => void (await later.getRun(run.id)));
          for (const step of [1, 2]) {
            await store.putCheckpoint(checkpointDraft(run.id, step), bytesOf(step), null);
            promises.set('checkpoint', async (later) => {
              const kept = await later.getCheckpoint(run.id);
              expect(kept?.checkpoint.step).toBeGreaterThanOrEqual(step);
              expect(numbersIn(kept?.state)).toEqual(
                numbersIn(bytesOf(kept?.checkpoint.step ?? 0)),
              );
            });
          }
          const model = await store.putModel(
            modelDraft(project.id, run.id, dataset.id),
            bytesOf(9),
          );
          promises.set('model', async (later) => {
            expect(numbersIn(await later.getChunk((await later.getModel(model.id)).file))).toEqual(
              numbersIn(bytesOf(9)),
            );
          });
          const draft = evaluationDraft(project.id, model.id, dataset.id);
          const evaluation = await store.putEvaluation(draft, PREDICTIONS);
          promises.set('evaluation', async (later) => {
            expect(await later.getPredictions(evaluation.id)).toEqual(PREDICTIONS);
          });
          const edited = await store.editProject(project.id, project.revision, { name: 'renamed' });
          promises.set('edit', async (later) => {
            expect((await later.getProject(project.id)).name).toBe(edited.name);
          });
        },
    );
    expect(writes).toBeGreaterThan(20);
  }, 600_000);

  test('a lock put on and taken off: the project is whole in one form or the other', async () => {
    await everyCrashPoint(fault, fill, ({ projectId, evaluationId }) => async (store, promises) => {
      promises.set('whole', async (later) => {
        const locks = await later.listVaults();
        if (locks.length > 0) await unlocked(later, projectId);
        await later.getProject(projectId);
        expect(await later.getPredictions(evaluationId)).toEqual(PREDICTIONS);
        expect(await later.listModels(projectId)).toHaveLength(1);
      });
      await store.lockProject(projectId, 'Locked project', PASSPHRASE);
      promises.set('locked', async (later) => expect(await later.listVaults()).toHaveLength(1));
      promises.delete('locked');
      await store.removeLock(projectId, PASSPHRASE);
      promises.set('open', async (later) => expect(await later.listVaults()).toEqual([]));
    });
  }, 600_000);
});
