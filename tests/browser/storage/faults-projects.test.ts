/** Whole projects that come, go and are doubled, with a fault at every write. See faulty-disk.ts. */
import { beforeEach, describe, expect, test } from 'vitest';
import type { Store } from '../../../src/storage/store';
import { everyCrashPoint, quietConsole } from './faulty-disk';
import { PREDICTIONS, fill } from './fixtures';

beforeEach(quietConsole);

describe.each(['quota', 'killed'] as const)('every write fails once: %s', (fault) => {
  test('duplicating, importing and erasing: all or nothing', async () => {
    const setup = async (store: Store) => {
      const filled = await fill(store);
      const { file } = await store.exportProject(filled.projectId, { withData: true });
      return { ...filled, file };
    };
    await everyCrashPoint(fault, setup, ({ projectId, file }) => async (store, promises) => {
      promises.set('whole or absent', async (later) => {
        for (const { id } of await later.listProjects()) {
          expect(await later.listModels(id)).toHaveLength(1);
          const [evaluation] = await later.listEvaluations(id);
          expect(await later.getPredictions(evaluation?.id ?? '')).toEqual(PREDICTIONS);
        }
      });
      const copy = await store.duplicateProject(projectId);
      promises.set('copy', async (later) => void (await later.getProject(copy.id)));
      await store.eraseProject(projectId);
      promises.set('erased', async (later) => {
        await expect(later.getProject(projectId)).rejects.toThrow();
      });
      promises.delete('copy');
      await store.eraseProject(copy.id);
      // Where the project is gone, the file brings it back as it was, under its own id.
      promises.delete('erased');
      const imported = await store.importProject(file);
      promises.set('imported', async (later) => void (await later.getProject(imported.id)));
    });
  });
});
