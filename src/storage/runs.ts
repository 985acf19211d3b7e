/** Runs: one training each. While one is active, the tab at work on it stays the writer of its project. */
import type { Table } from 'dexie';
import { AppError } from '../core/errors';
import type { StoreApi } from '../protocol/api';
import type { Id, Run } from '../protocol/entities';
import { deleteCheckpointBytes } from './checkpoints';
import type { StoreContext } from './context';
import { found } from './errors';
import { ACTIVE, isActive, isFinished } from './run-status';

type RunMethods = Pick<StoreApi, 'createRun' | 'updateRun' | 'getRun' | 'listRuns'>;

const FIXED: readonly string[] = ['id', 'projectId', 'number'];

export function runMethods(context: StoreContext): RunMethods {
  const { runs, projects, datasets, links, checkpoints } = context.core;

  async function getRun(id: Id): Promise<Run> {
    return found(await context.read('the run', [runs], () => runs.get(id)), 'run', id);
  }

  /**
   * Writes a run that becomes active, or is. The claim comes first and stays: without one an active run would look
   * abandoned to another tab.
   */
  async function written(
    { projectId, id }: Pick<Run, 'projectId' | 'id'>,
    active: boolean,
    tables: Table[],
    body: () => Promise<Run>,
  ): Promise<Run> {
    const taken = active && !context.claims.has(projectId, id);
    if (taken) await context.claims.hold(projectId, id);
    let run: Run | null = null;
    try {
      run = await context.writeProject(projectId, 'the run', tables, body);
      return run;
    } finally {
      if (run ? !isActive(run.status) : taken) context.claims.let(projectId, id);
    }
  }

  return {
    async createRun(draft) {
      const id: Id = crypto.randomUUID();
      const { projectId, config, status } = draft;
      context.assertWritable();
      const tables = [runs, projects, datasets, links];
      return written({ id, projectId }, isActive(status), tables, async () => {
        found(await projects.get(projectId), 'project', projectId);
        await context.link(projectId, config.datasetId);
        const siblings = await runs.where({ projectId }).toArray();
        const number = 1 + Math.max(0, ...siblings.map((sibling) => sibling.number));
        const run: Run = { ...draft, id, number };
        await runs.add(run);
        return run;
      });
    },

    async updateRun(id, change) {
      const fixed = Object.keys(change).find((key) => FIXED.includes(key));
      if (fixed !== undefined) {
        throw new AppError('store/not-editable', `“${fixed}” of a run cannot be changed.`, {
          field: fixed,
        });
      }
      context.assertWritable();
      const active = change.status !== undefined && isActive(change.status);
      const next = await written(await getRun(id), active, [runs, checkpoints], async () => {
        const before = found(await runs.get(id), 'run', id);
        if (isFinished(before.status) && change.status && !isFinished(change.status)) {
          throw new AppError(
            'store/run-finished',
            `“${before.name}” has ended and does not go on. Start a new run.`,
            { id },
          );
        }
        const run: Run = { ...before, ...change };
        await runs.put(run);
        if (isFinished(run.status)) await checkpoints.delete(id);
        return run;
      });
      if (change.status && isFinished(change.status)) {
        await context.tidy(deleteCheckpointBytes(context, id));
      }
      return next;
    },

    getRun,

    async listRuns(projectId) {
      const rows = await context.read('the runs', [runs], () =>
        runs.where({ projectId }).toArray(),
      );
      return rows.sort((a, b) => a.number - b.number);
    },
  };
}

/**
 * At the start: active runs whose tab is gone become `interrupted`, which is what claiming their project does. Writes
 * nothing where there is none, or where a living tab is the project's writer.
 */
export async function interruptAbandoned(context: StoreContext): Promise<void> {
  const { runs } = context.core;
  const active: Run[] = [];
  // One by one: a cursor over several would stop at a record that cannot be read.
  for (const status of ACTIVE) {
    active.push(
      ...(await context.read('the runs', [runs], () => runs.where({ status }).toArray())),
    );
  }
  const claimed = [...new Set(active.map(({ projectId }) => projectId))].map(async (projectId) => {
    const holder = Symbol('the interrupted runs');
    try {
      await context.claims.claim(projectId, holder);
      context.claims.let(projectId, holder);
    } catch (error) {
      if (!(error instanceof AppError) || error.code !== 'store/elsewhere') throw error;
    }
  });
  await Promise.all(claimed);
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
