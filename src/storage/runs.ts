/** Runs: one training each. While one is active the tab at work on it holds its lock. */
import { AppError } from '../core/errors';
import type { StoreApi } from '../protocol/api';
import type { Id, Run, RunStatus } from '../protocol/entities';
import { deleteCheckpointBytes, isFinished } from './checkpoints';
import type { StoreContext } from './context';
import { found } from './errors';

type RunMethods = Pick<StoreApi, 'createRun' | 'updateRun' | 'getRun' | 'listRuns'>;

const ACTIVE: readonly RunStatus[] = ['preparing', 'running', 'paused'];
/** How long the locks of a page that is being closed may outlive it. */
const DYING_MS = 150;
const FIXED: readonly string[] = ['id', 'projectId', 'number'];

export const isActive = (status: RunStatus): boolean => ACTIVE.includes(status);

export function runMethods(context: StoreContext): RunMethods {
  const { runs, projects, datasets, links, checkpoints } = context.core;

  return {
    async createRun(draft) {
      const id: Id = crypto.randomUUID();
      if (isActive(draft.status)) await context.runLocks.take(id);
      try {
        return await context.write('the run', [runs, projects, datasets, links], async () => {
          found(await projects.get(draft.projectId), 'project', draft.projectId);
          await context.link(draft.projectId, draft.config.datasetId);
          const siblings = await runs.where({ projectId: draft.projectId }).toArray();
          const number = 1 + Math.max(0, ...siblings.map((sibling) => sibling.number));
          const run: Run = { ...draft, id, number };
          await runs.add(run);
          return run;
        });
      } catch (error) {
        context.runLocks.release(id);
        throw error;
      }
    },

    async updateRun(id, change) {
      const fixed = Object.keys(change).find((key) => FIXED.includes(key));
      if (fixed !== undefined) {
        throw new AppError('store/not-editable', `“${fixed}” of a run cannot be changed.`, {
          field: fixed,
        });
      }
      // The lock first: an active run without one would look abandoned to another tab.
      const taken = change.status && isActive(change.status) && (await context.runLocks.take(id));
      let next: Run;
      try {
        next = await context.write('the run', [runs, checkpoints], async () => {
          const run: Run = { ...found(await runs.get(id), 'run', id), ...change };
          await runs.put(run);
          if (isFinished(run.status)) await checkpoints.delete(id);
          return run;
        });
      } catch (error) {
        if (taken) context.runLocks.release(id);
        throw error;
      }
      if (!isActive(next.status)) context.runLocks.release(id);
      if (change.status && isFinished(change.status)) {
        await context.tidy(deleteCheckpointBytes(context, id));
      }
      return next;
    },

    getRun: async (id) =>
      found(await context.read('the run', [runs], () => runs.get(id)), 'run', id),

    async listRuns(projectId) {
      const rows = await context.read('the runs', [runs], () =>
        runs.where({ projectId }).toArray(),
      );
      return rows.sort((a, b) => a.number - b.number);
    },
  };
}

/** At the start: active runs whose tab is gone become `interrupted`. Writes nothing where there is none. */
export async function interruptAbandoned(context: StoreContext): Promise<void> {
  const { runs } = context.core;
  const active = await context.read('the runs', [runs], () =>
    runs.where('status').anyOf(ACTIVE).primaryKeys(),
  );
  let abandoned = await context.runLocks.abandoned(active);
  // After a reload the former page's worker may still be dying, and its locks with it: look again, twice.
  for (let look = 0; look < 2 && abandoned.size < active.length; look++) {
    await new Promise((resolve) => setTimeout(resolve, DYING_MS));
    abandoned = await context.runLocks.abandoned(active);
  }
  if (abandoned.size === 0) return;
  await context.write('the interrupted runs', [runs], async () => {
    for (const id of abandoned) {
      const run = await runs.get(id);
      // Another tab may have finished it between the two looks.
      if (run && isActive(run.status)) await runs.put({ ...run, status: 'interrupted' });
    }
  });
}

/** Interrupted runs of projects that are not in the trash, newest first. */
export async function listInterrupted(context: StoreContext): Promise<readonly Run[]> {
  const { runs, projects } = context.core;
  return context.read('the interrupted runs', [runs, projects], async () => {
    const interrupted = await runs.where({ status: 'interrupted' }).toArray();
    const parents = await projects.bulkGet(interrupted.map((run) => run.projectId));
    return interrupted
      .filter((_, index) => parents[index]?.trashedAt === null)
      .sort((a, b) => b.createdAt - a.createdAt);
  });
}
