/**
 * The end of a run. Its model and its record are written together or not at all: two writes would let a tab die
 * between them, and the run, resumed, would leave a second model.
 */
import { AppError } from '../core/errors';
import type { StoreApi } from '../protocol/api';
import type { Run } from '../protocol/entities';
import { deleteCheckpointBytes } from './checkpoints';
import type { StoreContext } from './context';
import { found } from './errors';
import { modelAdder } from './models';
import { isFinished } from './run-status';

type FinishMethods = Pick<StoreApi, 'finishRun'>;

export function finishMethods(context: StoreContext): FinishMethods {
  const { runs, models, checkpoints } = context.core;
  const addModel = modelAdder(context);

  /** What a call whose answer was lost has left. */
  async function alreadyFinished(id: Run['id']) {
    return context.read('the run', [runs, models], async () => {
      const run = found(await runs.get(id), 'run', id);
      if (!isFinished(run.status) || run.modelVersionId === null) return null;
      const model = await models.get(run.modelVersionId);
      return model ? { run, model } : null;
    });
  }

  return {
    async finishRun(id, change, draft, file, adapter) {
      const before = await alreadyFinished(id);
      if (before) return before;
      if (draft.runId !== id) {
        throw new AppError('internal/invariant', 'A run ends with a model of its own.');
      }
      let ended: Run | null = null;
      const model = await addModel(draft, file, adapter, async ({ id: modelVersionId }) => {
        const run = found(await runs.get(id), 'run', id);
        if (isFinished(run.status)) {
          throw new AppError('store/run-finished', `“${run.name}” has ended already.`, { id });
        }
        ended = { ...run, ...change, modelVersionId };
        await runs.put(ended);
        await checkpoints.delete(id);
      });
      context.claims.let(draft.projectId, id);
      await context.tidy(deleteCheckpointBytes(context, id));
      if (ended === null) throw new AppError('internal/invariant', 'A run ended unseen.');
      return { run: ended, model };
    },
  };
}
