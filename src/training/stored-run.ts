/** Checkpoints of a run in the store. */
import type { StateSpec } from '../engine/executor';
import type { StoreApi, TrainRequest } from '../protocol/api';
import type { Id } from '../protocol/entities';
import { isSum } from './accumulate';
import { packTensors, unpackTensors } from './checkpoint';
import type { LoopCheckpoint, Tensors } from './loop-types';
import { scaleSpecs } from './loss-scale';
import type { Session } from './session';

type CheckpointStore = Pick<StoreApi, 'putCheckpoint' | 'getCheckpoint'>;
type Held = Pick<Session, 'state' | 'initial' | 'planId'>;

/** What outlives a step. */
function specsOf({ state }: Held): readonly StateSpec[] {
  return state.specs.filter(({ name }) => !isSum(name));
}

export async function saveCheckpoint(
  store: CheckpointStore,
  { runId, executor }: Pick<TrainRequest, 'runId' | 'executor'>,
  session: Held,
  checkpoint: LoopCheckpoint,
): Promise<void> {
  const tensors = specsOf(session);
  const { step, epoch, state, best, loop } = checkpoint;
  await store.putCheckpoint(
    { runId, step, epoch, planId: session.planId, executor, tensors, loop },
    packTensors(tensors, state),
    best && packTensors(tensors, best),
  );
}

/** The run's last checkpoint; null where it never came to one, and then it begins anew. */
export async function loadCheckpoint(
  store: CheckpointStore,
  runId: Id,
  session: Held,
): Promise<LoopCheckpoint | null> {
  const kept = await store.getCheckpoint(runId);
  if (kept === null) return null;
  const { step, epoch, loop, tensors } = kept.checkpoint;
  return {
    step,
    epoch,
    loop,
    state: fitted(session, unpackTensors(tensors, kept.state)),
    best: kept.best && fitted(session, unpackTensors(tensors, kept.best)),
  };
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
