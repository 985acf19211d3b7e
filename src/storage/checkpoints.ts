/**
 * Two slots a run. The bytes go to the slot that does not count, and one strict transaction then makes it the
 * one that does: a crash at any moment leaves the former checkpoint whole. Each claim on the project has slots of
 * its own, so that a tab that was overtaken in the middle of this overwrites nothing of the one that goes on.
 */
import { AppError } from '../core/errors';
import type { StoreApi } from '../protocol/api';
import type { Checkpoint, Id } from '../protocol/entities';
import { freeBallast, layInBallast } from './ballast';
import type { StoreContext } from './context';
import { found, isDamage } from './errors';
import { holdLock } from './locks';
import { checkpointKey, checkpointPrefix } from './references';
import { isFinished } from './run-status';
import type { CheckpointRow, Slot } from './schema';

type CheckpointMethods = Pick<StoreApi, 'putCheckpoint' | 'getCheckpoint'>;

export function checkpointMethods(context: StoreContext): CheckpointMethods {
  const { checkpoints, runs } = context.core;

  function readRow(runId: Id): Promise<CheckpointRow | undefined> {
    return context.read('the checkpoint', [checkpoints], () => checkpoints.get(runId));
  }

  async function writeSlot(
    projectId: Id,
    epoch: number,
    draft: Parameters<StoreApi['putCheckpoint']>[0],
    state: ArrayBuffer,
    best: ArrayBuffer | null,
  ): Promise<void> {
    const { runId } = draft;
    const row = await readRow(runId);
    const slot: Slot = row?.current === 'A' ? 'B' : 'A';
    const place = (part: 'state' | 'best') => checkpointKey(runId, epoch, slot, part);
    const stateRef = await context.chunks.replace(state, place('state'));
    const bestRef = best && (await context.chunks.replace(best, place('best')));
    const checkpoint: Checkpoint = {
      ...draft,
      format: 1,
      createdAt: context.now(),
      state: stateRef,
      best: bestRef,
    };
    const refs = bestRef ? [stateRef, bestRef] : [stateRef];
    await context.publish('The checkpoint', refs, () =>
      context.writeProject(projectId, 'the checkpoint', [checkpoints, runs], async () => {
        const run = found(await runs.get(runId), 'run', runId);
        if (isFinished(run.status)) {
          throw new AppError(
            'store/run-finished',
            `“${run.name}” has ended and keeps no checkpoint.`,
          );
        }
        const slots = { ...row?.slots, [slot]: checkpoint };
        await checkpoints.put({ runId, current: slot, slots });
      }),
    );
  }

  async function readSlot(checkpoint: Checkpoint) {
    const state = await context.chunks.get(checkpoint.state);
    const best = checkpoint.best && (await context.chunks.get(checkpoint.best));
    return { checkpoint, state, best };
  }

  return {
    async putCheckpoint(draft, state, best) {
      context.assertWritable();
      const { runId } = draft;
      const run = found(await context.read('the run', [runs], () => runs.get(runId)), 'run', runId);
      await context.whileHeld(run.projectId, Symbol('the checkpoint'), async (epoch) => {
        // Two writes at once would take the same slot.
        const release = await holdLock(`${context.name}-checkpoint-${runId}-${epoch}`);
        try {
          await onFullDisk(context, () => writeSlot(run.projectId, epoch, draft, state, best));
        } finally {
          release?.();
        }
      });
    },

    async getCheckpoint(runId) {
      const row = await readRow(runId);
      if (row === undefined) return null;
      const { A, B } = row.slots;
      const newestFirst = row.current === 'A' ? [A, B] : [B, A];
      const candidates = newestFirst.filter((checkpoint) => checkpoint !== undefined);
      let damage: unknown = null;
      for (const checkpoint of candidates) {
        try {
          return await readSlot(checkpoint);
        } catch (error) {
          if (!isDamage(error)) throw error;
          damage ??= error;
        }
      }
      throw damage;
    },
  };
}

/** Places of a run's checkpoints are its own, so they can go without asking who else names them. */
export async function deleteCheckpointBytes(context: StoreContext, runId: Id): Promise<void> {
  await context.chunks.removeUnder(checkpointPrefix(runId));
}

/** Tries once more with the room of what can be made anew: hours of training count for more. */
async function onFullDisk(context: StoreContext, write: () => Promise<void>): Promise<void> {
  try {
    await write();
  } catch (error) {
    if (!(error instanceof AppError) || error.code !== 'store/quota') throw error;
    if ((await freeBallast(context)) === 0) throw error;
    await write();
  }
  await context.tidy(layInBallast(context));
}
