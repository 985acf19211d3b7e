/**
 * One run from its configuration to a stored model: prepares the data, wires batches to the trainer, passes
 * events on, keeps the Run's record true at every step, and recovers from a lost device. An active record holds
 * the run's Web Lock (in the store's worker), so no second tab takes it up.
 */
import { version as codeVersion } from '../../package.json';
import { AppError } from '../core/errors';
import type { Prepared, TrainEvent, TrainOutcome } from '../protocol/api';
import type { ExecutorName, Id, ModelVersion, Run, RunConfig } from '../protocol/entities';
import { moved } from './bridge';
import type { DeviceChoice } from './device';
import { inTurn } from './turn';
import type { WorkerSet } from './workers';

export type RunEvent =
  | TrainEvent
  /** The record changed: new status, device or figures. */
  | { readonly type: 'run'; readonly run: Run };
export type RunListener = (event: RunEvent) => void;

export interface RunRequest {
  readonly projectId: Id;
  readonly config: RunConfig;
  readonly name: string;
  readonly role: Run['role'];
  /** The baseline by rule: commonest class, or mean. */
  readonly constant?: boolean;
}

export interface FinishedRun {
  readonly run: Run;
  readonly model: ModelVersion;
}

/** A run under way. `finished` rejects with what stopped it; the record then says so too. */
export interface RunHandle {
  readonly id: Id;
  readonly finished: Promise<FinishedRun>;
  pause(): Promise<void>;
  resume(): Promise<void>;
  /** Ends the run after the step under way; it finishes with the best weights so far. */
  stop(): Promise<void>;
  /** Times the kernels of the next steps, where `started` said that it can. */
  profile(steps: number): Promise<void>;
}

const CHECKPOINT_SECONDS = 5;
const RESUMABLE: readonly string[] = ['worker/died', 'engine/device-lost'];
/** A second lost device within this time moves the run to the processor. */
const LOSS_WINDOW_MS = 5 * 60_000;

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
    return course.begin(choice.executor, choice.reason, false);
  });
}

/** Goes on from the run's last checkpoint, on the executor that it ran on. */
export async function resumeRun(
  workers: WorkerSet,
  device: DeviceChoice,
  runId: Id,
  listener: RunListener,
): Promise<RunHandle> {
  return inTurn(workers, await workers.store.getRun(runId), async () => {
    // Refused when another tab is at work on it.
    const run = await workers.store.updateRun(runId, { status: 'preparing', error: null });
    listener({ type: 'run', run });
    listener({ type: 'phase', progress: { label: 'Preparing the data' } });
    const prepared = await workers.data.prepare(run.config);
    const choice = await device.choose(run.device?.executor ?? run.config.executor, (progress) =>
      listener({ type: 'phase', progress }),
    );
    const course = new RunCourse(workers, run, prepared, listener, false);
    return course.begin(choice.executor, run.device?.reason ?? choice.reason, true);
  });
}

class RunCourse {
  readonly #workers: WorkerSet;
  readonly #prepared: Prepared;
  readonly #listener: RunListener;
  readonly #constant: boolean;
  #run: Run;
  #losses: number[] = [];
  #skipped: Run['skipped'];

  constructor(
    workers: WorkerSet,
    run: Run,
    prepared: Prepared,
    listener: RunListener,
    constant: boolean,
  ) {
    this.#workers = workers;
    this.#run = run;
    this.#prepared = prepared;
    this.#listener = listener;
    this.#constant = constant;
  }

  begin(executor: ExecutorName, reason: string, resume: boolean): RunHandle {
    const { id } = this.#run;
    const { train } = this.#workers;
    const finished = keptAwake(() => this.#carryOut(executor, reason, resume));
    // A caller may look at `finished` late; until then its failure stands in the record.
    finished.catch(() => undefined);
    return {
      id,
      finished,
      pause: () => train.pause(id),
      resume: () => train.resume(id),
      stop: () => train.stop(id),
      profile: (steps) => train.profile(id, steps),
    };
  }

  async #carryOut(executor: ExecutorName, reason: string, resume: boolean): Promise<FinishedRun> {
    try {
      const outcome = await this.#attempts(executor, reason, resume);
      return await this.#keep(outcome);
    } catch (error) {
      const { code, message } =
        error instanceof AppError ? error : { code: 'internal/unexpected', message: String(error) };
      // What a dead worker or device left can be resumed; everything else would fail again.
      const status = RESUMABLE.includes(code) ? 'interrupted' : 'failed';
      await this.#update({ status, finishedAt: Date.now(), error: { code, message } });
      throw error;
    }
  }

  /** Trains; after a lost device on a new one from the checkpoint, and after the second on the processor. */
  async #attempts(executor: ExecutorName, reason: string, resume: boolean): Promise<TrainOutcome> {
    try {
      return await this.#attempt(executor, reason, resume);
    } catch (error) {
      const lost = error instanceof AppError && error.code === 'engine/device-lost';
      // Where the processor cannot go on either, nothing is left to try.
      if (!lost || executor !== 'webgpu') throw error;
      const now = Date.now();
      this.#losses = [...this.#losses.filter((at) => now - at < LOSS_WINDOW_MS), now];
      const fallBack = this.#losses.length >= 2;
      const label = fallBack
        ? 'The graphics device was lost twice: going on with the processor'
        : 'The graphics device was lost: starting it again';
      this.#listener({ type: 'phase', progress: { label } });
      this.#workers.restartTraining(label);
      return this.#attempts(fallBack ? 'wasm' : executor, fallBack ? `${label}.` : reason, true);
    }
  }

  async #attempt(executor: ExecutorName, reason: string, resume: boolean): Promise<TrainOutcome> {
    const { data, train } = this.#workers;
    const { id: runId, config } = this.#run;
    const { port1, port2 } = new MessageChannel();
    const served = data.serveBatches(config, port1);
    const trained = train.run(
      {
        runId,
        config,
        prepared: this.#prepared,
        executor,
        resume,
        checkpointEverySeconds: CHECKPOINT_SECONDS,
        ...(this.#constant ? { constant: true } : {}),
      },
      port2,
      (event) => this.#receive(event, executor, reason),
    );
    const failed = served.then(
      () => trained,
      (error: unknown) => {
        // The trainer would wait for ever for batches that cannot come.
        this.#workers.restartTraining('Its data could not be read.');
        throw error;
      },
    );
    return Promise.race([trained, failed]);
  }

  #receive(event: TrainEvent, executor: ExecutorName, reason: string): void {
    this.#listener(event);
    switch (event.type) {
      case 'started': {
        const { planId, label, graphHash, stepsTotal, weights: trainable } = event;
        const { precision, microBatch } = event;
        const device = { executor, reason, planId, label };
        this.#updateSoon({
          status: 'running',
          device,
          graphHash,
          stepsTotal,
          trainable,
          ...(precision && { precision }),
          ...(microBatch && { microBatch }),
          error: null,
        });
        break;
      }
      case 'points':
        this.#skipped = event.skipped;
        break;
      case 'lost':
        // Until another engine runs it; a tab that is closed meanwhile leaves a run that can be resumed.
        this.#updateSoon({
          status: 'preparing',
          error: { code: 'engine/device-lost', message: event.reason },
        });
        break;
      case 'state':
        this.#updateSoon({ status: event.state });
        break;
      case 'checkpoint':
        this.#updateSoon({
          stepsDone: event.step,
          ...(this.#skipped && { skipped: this.#skipped }),
        });
        break;
      default:
    }
  }

  #updateSoon(change: Partial<Run>): void {
    this.#update(change).catch((error: unknown) => {
      // The run itself goes on: its checkpoint and its end are written apart, and those failures end it.
      console.warn('The record of a run could not be updated.', error);
    });
  }

  async #update(change: Partial<Omit<Run, 'id' | 'projectId' | 'number'>>): Promise<void> {
    this.#run = await this.#workers.store.updateRun(this.#run.id, change);
    this.#listener({ type: 'run', run: this.#run });
  }

  async #keep(outcome: TrainOutcome): Promise<FinishedRun> {
    const { store } = this.#workers;
    const { id: runId, projectId, name, config } = this.#run;
    this.#listener({ type: 'phase', progress: { label: 'Saving the model' } });
    const { graphHash, weights, signature, model: file, adapter, base } = outcome;
    const model = await store.putModel(
      {
        projectId,
        name,
        stage: 'draft',
        kind: 'float32',
        runId,
        parentId: null,
        datasetId: config.datasetId,
        graphHash,
        signature,
        recipe: this.#prepared.recipe,
        weights,
        ...(base ? { base } : {}),
      },
      moved(file),
      adapter && moved(adapter),
    );
    await this.#update({
      status: outcome.status,
      finishedAt: Date.now(),
      graphHash,
      curve: outcome.loop.curve,
      ...(outcome.loop.skipped && { skipped: outcome.loop.skipped }),
      best: outcome.best,
      seconds: outcome.seconds,
      examplesPerSecond: outcome.examplesPerSecond,
      stepsDone: outcome.stepsDone,
      modelVersionId: model.id,
      error: null,
    });
    return { run: this.#run, model };
  }
}

/** Does `work` with the screen kept awake where the browser can; the store's worker holds the run's Web Lock. */
async function keptAwake<T>(work: () => Promise<T>): Promise<T> {
  const awake = await wakeLock();
  try {
    return await work();
  } finally {
    await awake?.release();
  }
}

async function wakeLock(): Promise<WakeLockSentinel | null> {
  if (!('wakeLock' in navigator)) return null;
  try {
    return await navigator.wakeLock.request('screen');
  } catch (error) {
    // Refused when the page is hidden or the battery is low: training goes on without it.
    console.warn('No wake lock:', error);
    return null;
  }
}
