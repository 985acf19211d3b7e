/**
 * One run trains at a time, because there is one training worker. Who has the turn is asked before anything is
 * recorded, so that a start that must wait leaves nothing behind.
 */
import { AppError } from '../core/errors';
import type { Id, Run } from '../protocol/entities';
import type { WorkerSet } from './workers';

type Trainee = Pick<Run, 'projectId' | 'name'>;

interface Handle {
  readonly finished: Promise<unknown>;
  /** Ends it here because another tab goes on with it. */
  readonly leave?: (saving: boolean) => Promise<void>;
}

interface Turn extends Trainee {
  handle: Handle | null;
  left: boolean;
}

const turns = new WeakMap<WorkerSet, Turn>();

/** Begins a run and keeps the turn until it has finished; throws `training/busy` while another has it. */
export async function inTurn<Begun extends Handle>(
  workers: WorkerSet,
  trainee: Trainee,
  begin: () => Promise<Begun>,
): Promise<Begun> {
  const holder = turns.get(workers);
  if (holder) throw await busy(workers, holder);
  const { projectId, name } = trainee;
  const turn: Turn = { projectId, name, handle: null, left: false };
  turns.set(workers, turn);
  const release = (): void => void turns.delete(workers);
  try {
    const handle = await begin();
    turn.handle = handle;
    if (turn.left) void handle.leave?.(false);
    handle.finished.then(release, release);
    return handle;
  } catch (error) {
    release();
    throw error;
  }
}

/** Ends what trains for the project, `saving` a checkpoint first: its project moves to another tab. */
export async function leaveTurn(workers: WorkerSet, projectId: Id, saving: boolean): Promise<void> {
  const turn = turns.get(workers);
  if (turn?.projectId !== projectId) return;
  turn.left = true;
  await turn.handle?.leave?.(saving);
}

async function busy(workers: WorkerSet, { projectId, name }: Trainee): Promise<AppError> {
  const project = await workers.store.getProject(projectId);
  return new AppError(
    'training/busy',
    `“${name}” of the project “${project.name}” is training. Wait for it, or stop it there; then start again.`,
    { projectId, run: name },
  );
}
