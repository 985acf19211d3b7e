/**
 * Starting a run and taking one up again: prepares the data, records the Run and sends it on its course. An active
 * record holds the run's Web Lock (in the store's worker), so no second tab takes it up.
 */
import { version as codeVersion } from '../../package.json';
import type { Run } from '../protocol/entities';
import type { Id } from '../protocol/entities';
import type { DeviceChoice } from './device';
import { RunCourse } from './run-course';
import type { RunHandle, RunListener, RunRequest } from './run-course';
import { inTurn } from './turn';
import type { WorkerSet } from './workers';

export type {
  FinishedRun,
  RescueFile,
  RunEvent,
  RunHandle,
  RunListener,
  RunRequest,
} from './run-course';

/** Throws `training/busy`, with nothing recorded, while another run trains in this tab. */
export function startRun(
  workers: WorkerSet,
  device: DeviceChoice,
  request: RunRequest,
  listener: RunListener,
): Promise<RunHandle> {
  return inTurn(workers, request, async () => {
    const { projectId, config, name, role } = request;
    listener({ type: 'phase', progress: { label: 'Preparing the data' } });
    const prepared = await workers.data.prepare(config);
    const choice = await device.choose(config.executor, (progress) =>
      listener({ type: 'phase', progress }),
    );
    const run = await workers.store.createRun({
      projectId,
      name,
      role,
      config,
      status: 'preparing',
      createdAt: Date.now(),
      finishedAt: null,
      device: null,
      graphHash: null,
      codeVersion,
      curve: [],
      best: null,
      seconds: 0,
      examplesPerSecond: 0,
      stepsDone: 0,
      stepsTotal: 0,
      modelVersionId: null,
      error: null,
    });
    listener({ type: 'run', run });
    const course = new RunCourse(workers, run, prepared, listener, request.constant ?? false);
    return course.begin({ ...choice, resume: false });
  });
}

/** Goes on from the run's last checkpoint, on the executor that it ran on where that is still there. */
export async function resumeRun(
  workers: WorkerSet,
  device: DeviceChoice,
  runId: Id,
  listener: RunListener,
): Promise<RunHandle> {
  return inTurn(workers, await workers.store.getRun(runId), async () => {
    // Refused when another tab is at work on it, and when it has ended.
    const run = await workers.store.updateRun(runId, { status: 'preparing', error: null });
    listener({ type: 'run', run });
    listener({ type: 'phase', progress: { label: 'Preparing the data' } });
    const prepared = await workers.data.prepare(run.config);
    const told = (progress: { readonly label: string }): void =>
      listener({ type: 'phase', progress });
    const choice = await deviceOf(run, device, told);
    const course = new RunCourse(workers, run, prepared, listener, false);
    return course.begin({ ...choice, resume: true });
  });
}

async function deviceOf(
  run: Run,
  device: DeviceChoice,
  onProgress: (progress: { readonly label: string }) => void,
): ReturnType<DeviceChoice['choose']> {
  const before = run.device;
  if (before === null) return device.choose(run.config.executor, onProgress);
  if (before.executor === 'webgpu' && !('gpu' in navigator)) {
    const reason = 'The graphics processor that it began on is not there any more.';
    return { executor: 'wasm', reason };
  }
  const { executor, reason } = before;
  return { executor, reason };
}
