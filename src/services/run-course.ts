/**
 * One run under way: wires batches to the trainer, passes events on, keeps the Run's record true at every step, and
 * recovers. What was lost is said in the record (`incidents`), and so is on what the run went on.
 */
import { AppError } from '../core/errors';
import type { ModelDraft, Prepared, RunEnd, TrainEvent, TrainOutcome } from '../protocol/api';
import type {
  ExecutorName,
  Id,
  ModelVersion,
  Run,
  RunConfig,
  RunIncident,
} from '../protocol/entities';
import { moved } from './bridge';
import { keptAwake, onHidden } from './page-life';
import { Recovery } from './recovery';
import type { Attempt } from './recovery';
import type { WorkerSet } from './workers';

export type RunEvent =
  | TrainEvent
  /** The record changed: new status, device or figures. */
  | { readonly type: 'run'; readonly run: Run }
  | { readonly type: 'incident'; readonly incident: RunIncident };
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

/** What a full disk keeps from being saved, as a file to keep elsewhere. */
export interface RescueFile {
  readonly name: string;
  readonly bytes: ArrayBuffer;
}

/** A run under way. `finished` rejects with what stopped it; the record then says so too. */
export interface RunHandle {
  readonly id: Id;
  readonly finished: Promise<FinishedRun>;
  pause(): Promise<void>;
  /** Also tries at once whether there is room again. */
  resume(): Promise<void>;
  /** Ends the run after the step under way; it finishes with the best weights so far. */
  stop(): Promise<void>;
  /** Ends it here because another tab goes on with it, `saving` a checkpoint first; `finished` rejects with `training/moved`. */
  leave(saving: boolean): Promise<void>;
  /** Times the kernels of the next steps, where `started` said that it can. */
  profile(steps: number): Promise<void>;
  /** The checkpoint, or the finished model, that found no room; null where all is saved. */
  rescue(): Promise<RescueFile | null>;
  /** Loses the graphics device, hangs or kills the worker on purpose. False where there is no device to lose. */
  drill(harm: 'lose-device' | 'hang' | 'kill'): Promise<boolean>;
}

const CHECKPOINT_SECONDS = 5;
const RESUMABLE: readonly string[] = ['worker/died', 'engine/device-lost', 'training/moved'];
const GONE: readonly string[] = ['worker/died', 'worker/closed'];
/** A checkpoint that another tab waits for is given up after so long. */
const LEAVING_MS = 10_000;
/** A full disk is asked again after so long. */
const ROOM_MS = 5000;
/** Workers of the store that may die under the end of a run before it is given up. */
const MOST_DEATHS = 3;

export class RunCourse {
  readonly #workers: WorkerSet;
  readonly #prepared: Prepared;
  readonly #listener: RunListener;
  readonly #constant: boolean;
  readonly #recovery: Recovery;
  #run: Run;
  #skipped: Run['skipped'];
  #step = 0;
  #wish: 'run' | 'pause' | 'stop' = 'run';
  /** The finished model while it finds no room. */
  #unsaved: TrainOutcome | null = null;
  #tryAgain: () => void = () => undefined;
  /** Changes of the record, one after the other: the last word must stand last. */
  #written: Promise<unknown> = Promise.resolve();
  /** Another tab goes on with it. */
  #left = false;
  /** What training came to is here. */
  #over = false;
  #saved: () => void = () => undefined;

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
    this.#step = run.stepsDone;
    this.#recovery = new Recovery(run, (label) => listener({ type: 'phase', progress: { label } }));
  }

  begin(first: Attempt): RunHandle {
    const { id } = this.#run;
    const { train } = this.#workers;
    const finished = keptAwake(id, () => this.#carryOut(first));
    // A caller may look at `finished` late; until then its failure stands in the record.
    finished.catch(() => undefined);
    return {
      id,
      finished,
      pause: () => this.#steer('pause'),
      resume: () => this.#steer('run'),
      stop: () => this.#steer('stop'),
      leave: (saving) => this.#leave(saving, finished),
      profile: (steps) => train.profile(id, steps),
      rescue: () => this.#rescue(),
      drill: (harm) => this.#drill(harm),
    };
  }

  async #leave(saving: boolean, finished: Promise<FinishedRun>): Promise<void> {
    this.#left = true;
    if (saving && this.#wish !== 'pause') {
      const saved = new Promise<void>((resolve) => (this.#saved = resolve));
      const ended = finished.then(
        () => undefined,
        () => undefined,
      );
      const late = new Promise<void>((resolve) => setTimeout(resolve, LEAVING_MS));
      void this.#askForCheckpoint().then((asked) => {
        if (!asked) this.#saved();
      });
      await Promise.race([saved, ended, late]);
    }
    this.#workers.restartTraining('Another tab goes on with its run.');
    await finished.catch(() => undefined);
  }

  async #steer(wish: 'run' | 'pause' | 'stop'): Promise<void> {
    this.#wish = wish;
    const { train } = this.#workers;
    this.#tryAgain();
    if (this.#unsaved === null) await this.#told(train, wish);
  }

  #told(train: WorkerSet['train'], wish: 'run' | 'pause' | 'stop'): Promise<void> {
    const { id } = this.#run;
    if (wish === 'pause') return train.pause(id);
    return wish === 'stop' ? train.stop(id) : train.resume(id);
  }

  async #drill(harm: 'lose-device' | 'hang' | 'kill'): Promise<boolean> {
    if (harm === 'kill') {
      this.#workers.restartTraining('You killed it.');
      return true;
    }
    const answer = this.#workers.train.drill(harm);
    if (harm === 'lose-device') return answer;
    // It never comes back; that is the point.
    answer.catch(() => undefined);
    return true;
  }

  /** False where none will come. A failure to save one is the loop's, which says so itself; here it is the asking. */
  async #askForCheckpoint(): Promise<boolean> {
    try {
      await this.#workers.train.checkpoint(this.#run.id);
      return true;
    } catch (error) {
      // A worker that is gone has nothing to save, and recovery is told of its death apart from this.
      if (!(error instanceof AppError && GONE.includes(error.code))) {
        const reason = error instanceof Error ? error.message : String(error);
        this.#note({ ...this.#now(this.#step), kind: 'checkpoint-missed', reason });
      }
      return false;
    }
  }

  async #carryOut(first: Attempt): Promise<FinishedRun> {
    // The tab may not come back.
    const stopListening = onHidden(() => void this.#askForCheckpoint());
    try {
      const outcome = await this.#attempts(first);
      return await this.#keep(outcome);
    } catch (error) {
      const { code, message } =
        error instanceof AppError ? error : { code: 'internal/unexpected', message: String(error) };
      // What a dead worker or device left can be resumed; everything else would fail again.
      const status = RESUMABLE.includes(code) ? 'interrupted' : 'failed';
      const divergence =
        error instanceof AppError && code === 'training/diverged'
          ? { divergence: error.data['divergence'] as NonNullable<Run['divergence']> }
          : {};
      await this.#update({
        status,
        finishedAt: Date.now(),
        error: { code, message },
        ...divergence,
      });
      throw error;
    } finally {
      stopListening();
      this.#workers.trained(this.#step);
    }
  }

  async #attempts(first: Attempt): Promise<TrainOutcome> {
    for (let attempt = first; ;) {
      try {
        return await this.#attempt(attempt);
      } catch (error) {
        if (this.#left) throw movedAway(this.#run, error);
        const recovered = await this.#recovery.after(error, attempt, this.#step);
        for (const incident of recovered.incidents) this.#note(incident);
        this.#workers.restartTraining(recovered.why);
        attempt = recovered.attempt;
      }
    }
  }

  async #attempt(attempt: Attempt): Promise<TrainOutcome> {
    const { data, train } = this.#workers;
    const { id: runId } = this.#run;
    const config = this.#recovery.configOf(this.#run.config);
    const { port1, port2 } = new MessageChannel();
    const served = data.serveBatches(config, port1);
    const trained = train.run(
      {
        runId,
        config,
        prepared: this.#prepared,
        executor: attempt.executor,
        resume: attempt.resume,
        checkpointEverySeconds: CHECKPOINT_SECONDS,
        ...(this.#constant ? { constant: true } : {}),
      },
      port2,
      (event) => this.#receive(event, attempt),
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

  #receive(event: TrainEvent, attempt: Attempt): void {
    this.#listener(event);
    // A page that was kept busy hears of steps after their end, and must not put the record back to one of them.
    if (this.#over) return;
    switch (event.type) {
      case 'started': {
        const { planId, label, graphHash, stepsTotal, weights: trainable } = event;
        const { precision, microBatch, resumed } = event;
        const { executor, reason } = attempt;
        if (resumed) this.#resumed(resumed, { executor, planId });
        else this.#step = 0;
        this.#updateSoon({
          status: 'running',
          device: { executor, reason, planId, label },
          graphHash,
          stepsTotal,
          trainable,
          ...(precision && { precision }),
          ...(microBatch && { microBatch }),
          error: null,
        });
        if (this.#wish !== 'run') void this.#told(this.#workers.train, this.#wish);
        break;
      }
      case 'points':
        this.#step = event.step;
        this.#skipped = event.skipped;
        this.#workers.expectSteps(event.stepMs);
        break;
      case 'lost':
        // Until another engine runs it; a tab that is closed meanwhile leaves a run that can be resumed.
        this.#step = event.step;
        this.#updateSoon({
          status: 'preparing',
          error: { code: 'engine/device-lost', message: event.reason },
        });
        break;
      case 'full':
        this.#note({ ...this.#now(event.step), kind: 'disk-full', reason: event.reason });
        break;
      case 'room':
        this.#note({ ...this.#now(event.step), kind: 'room-again', reason: '' });
        break;
      case 'state':
        this.#updateSoon({ status: event.state });
        break;
      case 'checkpoint':
        this.#recovery.progressed(event.step);
        this.#saved();
        this.#updateSoon({
          stepsDone: event.step,
          ...(this.#skipped && { skipped: this.#skipped }),
        });
        break;
      default:
    }
  }

  #resumed(
    { step, executor, planId }: NonNullable<Extract<TrainEvent, { type: 'started' }>['resumed']>,
    now: { readonly executor: ExecutorName; readonly planId: string },
  ): void {
    this.#step = step;
    const before = { executor, planId };
    const exact = executor === now.executor && planId === now.planId;
    this.#note({ ...this.#now(step), kind: 'resumed', ...now, before, exact });
  }

  #now(step: number): { readonly at: number; readonly step: number } {
    return { at: Date.now(), step };
  }

  #note(incident: RunIncident): void {
    const incidents = [...(this.#run.incidents ?? []), incident];
    this.#run = { ...this.#run, incidents };
    this.#listener({ type: 'incident', incident });
    this.#updateSoon({ incidents });
  }

  #updateSoon(change: Partial<Run>): void {
    this.#update(change).catch((error: unknown) => {
      // The run itself goes on: its checkpoint and its end are written apart, and those failures end it.
      console.warn('The record of a run could not be updated.', error);
    });
  }

  #update(change: Partial<Omit<Run, 'id' | 'projectId' | 'number'>>): Promise<void> {
    const written = this.#written.then(() => this.#write(change));
    this.#written = written.catch(() => undefined);
    return written;
  }

  async #write(change: Partial<Omit<Run, 'id' | 'projectId' | 'number'>>): Promise<void> {
    const { incidents } = this.#run;
    const run = await this.#workers.store.updateRun(this.#run.id, change);
    // What befell it meanwhile is on its way to the record too.
    const latest = this.#run.incidents ?? incidents;
    this.#run = latest ? { ...run, incidents: latest } : run;
    this.#listener({ type: 'run', run: this.#run });
  }

  async #keep(outcome: TrainOutcome): Promise<FinishedRun> {
    this.#over = true;
    const { id: runId, projectId, name, config } = this.#run;
    this.#listener({ type: 'phase', progress: { label: 'Saving the model' } });
    const { graphHash, weights, signature, base, divergence } = outcome;
    const draft: ModelDraft = {
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
    };
    const { incidents } = this.#run;
    const end: RunEnd = {
      status: outcome.status,
      finishedAt: Date.now(),
      graphHash,
      curve: outcome.loop.curve,
      ...(outcome.loop.skipped && { skipped: outcome.loop.skipped }),
      ...(incidents && { incidents }),
      ...(divergence && { divergence }),
      best: outcome.best,
      seconds: outcome.seconds,
      examplesPerSecond: outcome.examplesPerSecond,
      stepsDone: outcome.stepsDone,
      error: null,
    };
    const finished = await this.#untilKept(outcome, draft, end);
    this.#step = outcome.stepsDone;
    this.#run = finished.run;
    this.#listener({ type: 'run', run: finished.run });
    return finished;
  }

  /** A finished model is not given up for want of room, nor because the store's worker died: both come back. */
  async #untilKept(outcome: TrainOutcome, draft: ModelDraft, end: RunEnd): Promise<FinishedRun> {
    const { id } = this.#run;
    this.#unsaved = outcome;
    await this.#written;
    for (let deaths = 0; ;) {
      // Copies travel, because what was transferred cannot be sent again.
      const adapter = outcome.adapter && moved(outcome.adapter.slice(0));
      try {
        const file = moved(outcome.model.slice(0));
        const finished = await this.#workers.store.finishRun(id, end, draft, file, adapter);
        this.#unsaved = null;
        return finished;
      } catch (error) {
        const code = error instanceof AppError ? error.code : '';
        if (code === 'worker/died' && ++deaths < MOST_DEATHS) continue;
        if (code !== 'store/quota') throw error;
        const reason = error instanceof Error ? error.message : '';
        this.#listener({ type: 'full', step: outcome.stepsDone, reason });
        await this.#roomAsked();
      }
    }
  }

  #roomAsked(): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, ROOM_MS);
      this.#tryAgain = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }

  async #rescue(): Promise<RescueFile | null> {
    const { id, name } = this.#run;
    if (this.#unsaved) return { name: `${name}.onnx`, bytes: this.#unsaved.model.slice(0) };
    const bytes = await this.#workers.train.unsavedCheckpoint(id);
    return bytes && { name: `${name}, step ${this.#step}.safetensors`, bytes };
  }
}

function movedAway({ id, name }: Run, cause: unknown): AppError {
  return new AppError(
    'training/moved',
    `“${name}” stopped here because its project moved to another tab. It can go on there from its last checkpoint.`,
    { id },
    cause,
  );
}
