/** Checkpoints of a run in the store. */
import type { StateSpec } from '../engine/executor';
import { writeSafetensors } from '../importers/safetensors';
import type { StoreApi, TrainRequest } from '../protocol/api';
import type { ExecutorName, Id } from '../protocol/entities';
import { isSum } from './accumulate';
import { packTensors, unpackTensors } from './checkpoint';
import type { LoopCheckpoint, Tensors } from './loop-types';
import { scaleSpecs } from './loss-scale';
import type { Session } from './session';

type CheckpointStore = Pick<StoreApi, 'putCheckpoint' | 'getCheckpoint'>;
type Held = Pick<Session, 'state' | 'initial' | 'planId'>;
type Computed = Held & Partial<Pick<Session, 'precision' | 'microBatch'>>;

/** A checkpoint, and on what it was made. */
export interface StoredCheckpoint extends LoopCheckpoint {
  readonly executor: ExecutorName;
  readonly planId: string;
}

/** What outlives a step. */
function specsOf({ state }: Held): readonly StateSpec[] {
  return state.specs.filter(({ name }) => !isSum(name));
}

export async function saveCheckpoint(
  store: CheckpointStore,
  { runId, executor }: Pick<TrainRequest, 'runId' | 'executor'>,
  session: Computed,
  checkpoint: LoopCheckpoint,
): Promise<void> {
  const tensors = specsOf(session);
  const { step, epoch, state, best, loop } = checkpoint;
  const { planId, precision, microBatch } = session;
  await store.putCheckpoint(
    {
      ...{ runId, step, epoch, planId, executor, tensors, loop },
      ...(precision && { precision }),
      ...(microBatch && { rows: microBatch.rows }),
    },
    packTensors(tensors, state),
    best && packTensors(tensors, best),
  );
}

/** The run's last checkpoint; null where it never came to one, and then it begins anew. */
export async function loadCheckpoint(
  store: CheckpointStore,
  runId: Id,
  session: Held,
): Promise<StoredCheckpoint | null> {
  const kept = await store.getCheckpoint(runId);
  if (kept === null) return null;
  const { step, epoch, loop, tensors, executor, planId } = kept.checkpoint;
  return {
    executor,
    planId,
    step,
    epoch,
    loop,
    state: fitted(session, unpackTensors(tensors, kept.state)),
    best: kept.best && fitted(session, unpackTensors(tensors, kept.best)),
  };
}

/** A checkpoint as a file of its own, for a store that has no room: every entry of the State under its name. */
export function checkpointFile(
  runId: Id,
  session: Held,
  { step, epoch, state }: LoopCheckpoint,
): ArrayBuffer {
  const tensors = specsOf(session).map(({ name, dims }) => ({
    name,
    tensor: { dtype: 'float32' as const, dims, data: state.get(name) ?? new Float32Array() },
  }));
  const metadata = new Map([
    ['terrarium.checkpoint', JSON.stringify({ runId, step, epoch, planId: session.planId })],
  ]);
  return writeSafetensors({
    tensors: new Map(tensors.map(({ name, tensor }) => [name, tensor])),
    metadata,
  }).buffer;
}

/**
 * Refuses a checkpoint of another model: every entry of the State must be there, in its size. Only the loss scale may
 * come or go, with the precision of the executor that the run goes on with.
 */
function fitted(session: Held, tensors: Tensors): Tensors {
  const scale = new Set(scaleSpecs().map(({ name }) => name));
  const specs = specsOf(session);
  const own: Tensors = new Map();
  for (const { name } of specs) {
    const values = tensors.get(name) ?? (scale.has(name) ? session.initial.get(name) : undefined);
    if (values) own.set(name, values);
  }
  packTensors(specs, own);
  return own;
}
