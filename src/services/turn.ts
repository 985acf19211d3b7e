/**
 * One run trains at a time, because there is one training worker. Who has the turn is asked before anything is
 * recorded, so that a start that must wait leaves nothing behind.
 */
import { AppError } from '../core/errors';
import type { Run } from '../protocol/entities';
import type { WorkerSet } from './workers';

type Trainee = Pick<Run, 'projectId' | 'name'>;

const turns = new WeakMap<WorkerSet, Trainee>();

/** Begins a run and keeps the turn until it has finished; throws `training/busy` while another has it. */
export async function inTurn<Handle extends { readonly finished: Promise<unknown> }>(
  workers: WorkerSet,
  trainee: Trainee,
  begin: () => Promise<Handle>,
): Promise<Handle> {
  const holder = turns.get(workers);
  if (holder) throw await busy(workers, holder);
  turns.set(workers, trainee);
  const release = (): void => void turns.delete(workers);
  try {
    const handle = await begin();
    handle.finished.then(release, release);
    return handle;
  } catch (error) {
    release();
    throw error;
  }
}

async function busy(workers: WorkerSet, { projectId, name }: Trainee): Promise<AppError> {
  const project = await workers.store.getProject(projectId);
  return new AppError(
    'training/busy',
    `“${name}” of the project “${project.name}” is training. Wait for it, or stop it there; then start again.`,
    { projectId, run: name },
  );
}
