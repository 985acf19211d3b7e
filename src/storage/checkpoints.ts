/**
 * Two slots a run. The bytes go to the slot that does not count, and one strict transaction then makes it the
 * one that does: a crash at any moment leaves the former checkpoint whole.
 */
import { AppError } from '../core/errors';
import type { StoreApi } from '../protocol/api';
import type { Checkpoint, Id, RunStatus } from '../protocol/entities';
import type { StoreContext } from './context';
import { found, guarded } from './errors';
import { holdLock } from './locks';
import { checkpointKey } from './references';
import type { CheckpointRow, Slot } from './schema';

type CheckpointMethods = Pick<StoreApi, 'putCheckpoint' | 'getCheckpoint'>;

/** A finished run keeps no checkpoint; a failed one does, because its weights may be all there is. */
export const isFinished = (status: RunStatus): boolean => status === 'done' || status === 'stopped';

export function checkpointMethods(context: StoreContext): CheckpointMethods {
  const { checkpoints, runs } = context.core;

  function readRow(runId: Id): Promise<CheckpointRow | undefined> {
    return context.read('the checkpoint', [checkpoints], () => checkpoints.get(runId));
  }

  async function writeSlot(
    draft: Parameters<StoreApi['putCheckpoint']>[0],
    state: ArrayBuffer,
    best: ArrayBuffer | null,
  ): Promise<void> {
    const { runId } = draft;
    const row = await readRow(runId);
    const slot: Slot = row?.current === 'A' ? 'B' : 'A';
    const stateRef = await context.chunks.replace(state, checkpointKey(runId, slot, 'state'));
    const bestRef =
      best && (await context.chunks.replace(best, checkpointKey(runId, slot, 'best')));
    const checkpoint: Checkpoint = {
      ...draft,
      format: 1,
      createdAt: context.now(),
      state: stateRef,
      best: bestRef,
    };
    const refs = bestRef ? [stateRef, bestRef] : [stateRef];
    await context.publish('The checkpoint', refs, [checkpoints, runs], async () => {
      const run = found(await runs.get(runId), 'run', runId);
      if (isFinished(run.status)) {
        throw new AppError(
          'store/run-finished',
          `“${run.name}” has ended and keeps no checkpoint.`,
        );
      }
      await checkpoints.put({ runId, current: slot, slots: { ...row?.slots, [slot]: checkpoint } });
    });
  }

  async function readSlot(checkpoint: Checkpoint) {
    const state = await context.chunks.get(checkpoint.state);
    const best = checkpoint.best && (await context.chunks.get(checkpoint.best));
    return { checkpoint, state, best };
  }

  return {
    async putCheckpoint(draft, state, best) {
      context.assertWritable();
      // Two writers at once would take the same slot.
      const release = await holdLock(`${context.name}-checkpoint-${draft.runId}`);
      try {
        await writeSlot(draft, state, best);
      } finally {
        release?.();
      }
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
          if (!(error instanceof AppError) || error.code !== 'store/corrupt') throw error;
          damage ??= error;
        }
      }
      throw damage;
    },
  };
}

/** Places of a run's checkpoints are its own, so they can go without asking who else names them. */
export async function deleteCheckpointBytes(context: StoreContext, runId: Id): Promise<void> {
  const { chunks, chunkInfo } = context.cache;
  const keys = (['A', 'B'] as const).flatMap((slot) => [
    checkpointKey(runId, slot, 'state'),
    checkpointKey(runId, slot, 'best'),
  ]);
  await guarded('the removal of a checkpoint', () =>
    context.cache.transaction('rw', chunks, chunkInfo, async () => {
      await chunks.bulkDelete(keys);
      await chunkInfo.bulkDelete(keys);
    }),
  );
}
