/** Times the kernels of a project's training without a run: nothing is recorded, and nothing is learned for good. */
import type { TrainEvent } from '../protocol/api';
import type { Id, RunConfig } from '../protocol/entities';
import type { RunProfile } from '../protocol/profile';
import type { DeviceChoice } from './device';
import { inTurn } from './turn';
import type { WorkerSet } from './workers';

export interface ProfileRequest {
  readonly projectId: Id;
  /** For whoever must wait for it. */
  readonly name: string;
  readonly config: RunConfig;
  readonly steps: number;
}

/** `finished` is null where it was stopped before the first step was done. */
export interface ProfileHandle {
  readonly finished: Promise<RunProfile | null>;
  /** Ends it after the step under way. */
  stop(): Promise<void>;
}

/** Throws `training/busy` while a run trains in this tab; `finished` rejects with `training/no-profile`. */
export function startProfile(
  workers: WorkerSet,
  device: DeviceChoice,
  { projectId, name, config, steps }: ProfileRequest,
  listener: (event: TrainEvent) => void,
): Promise<ProfileHandle> {
  return inTurn(workers, { projectId, name }, async () => {
    const { data, train } = workers;
    listener({ type: 'phase', progress: { label: 'Preparing the data' } });
    const prepared = await data.prepare(config);
    const { executor } = await device.choose(config.executor, (progress) =>
      listener({ type: 'phase', progress }),
    );
    const runId = `profile ${projectId}`;
    const { port1, port2 } = new MessageChannel();
    const served = data.serveBatches(config, port1);
    const request = { runId, config, prepared, executor };
    const profiled = train.profileAlone(request, steps, port2, listener);
    const finished = Promise.race([profiled, served.then(() => profiled)]);
    finished.catch(() => {
      // Without its data the trainer would wait for ever.
      served.catch(() => workers.restartTraining('Its data could not be read.'));
    });
    return { finished, stop: () => train.stop(runId) };
  });
}
