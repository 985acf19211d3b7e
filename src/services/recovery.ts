/**
 * What a run does after it was stopped by no fault of its own: on what it goes on, how its batches are divided, and
 * when there is nothing left to try. Decides only; the course carries it out.
 */
import { AppError } from '../core/errors';
import type { ExecutorName, Run, RunConfig, RunIncident } from '../protocol/entities';
import { isHidden, shown } from './page-life';

export interface Attempt {
  readonly executor: ExecutorName;
  readonly reason: string;
  readonly resume: boolean;
}

export interface Recovered {
  readonly attempt: Attempt;
  /** Why the worker is ended and started again. */
  readonly why: string;
  readonly incidents: readonly RunIncident[];
}

/** A second lost device within this time moves the run to the processor. */
const LOSS_WINDOW_MS = 5 * 60_000;
/** A page in the background may be refused a device; after so long it is asked for all the same. */
const HIDDEN_MS = 30_000;
/** So many dead workers without a checkpoint between them mean that it would die again. */
const MOST_DEATHS = 3;

export class Recovery {
  readonly #say: (label: string) => void;
  /** By the page's own clock, which does not jump. */
  #losses: number[] = [];
  #hiddenLosses = 0;
  #deaths = 0;
  #savedStep: number;
  #accumulate: number;
  readonly #batchSize: number;
  #divided = false;

  constructor({ config, microBatch, stepsDone, incidents }: Run, say: (label: string) => void) {
    const { batchSize, accumulate = 1 } = config.training;
    this.#say = say;
    this.#batchSize = batchSize;
    this.#savedStep = stepsDone;
    // A run that was divided when memory ran out goes on so, because batch norms and rounding know it.
    this.#accumulate = microBatch ? batchSize / microBatch.rows : accumulate;
    this.#divided = incidents?.some(({ kind }) => kind === 'divided') === true;
  }

  /** As the run is computed now: what was asked for, in as many parts as memory allows. */
  configOf(config: RunConfig): RunConfig {
    const { accumulate = 1 } = config.training;
    if (accumulate === this.#accumulate) return config;
    return { ...config, training: { ...config.training, accumulate: this.#accumulate } };
  }

  progressed(step: number): void {
    if (step > this.#savedStep) this.#deaths = 0;
    this.#savedStep = step;
  }

  /** How to go on; throws where nothing is left to try. */
  async after(error: unknown, attempt: Attempt, step: number): Promise<Recovered> {
    if (!(error instanceof AppError)) throw error;
    const happened = { at: Date.now(), step };
    switch (error.code) {
      case 'engine/device-lost':
        return this.#afterLoss(error, attempt, happened);
      case 'engine/no-webgpu':
        // The device that it began on does not come back; with none at the start the person has to choose.
        if (!attempt.resume || attempt.executor !== 'webgpu') throw error;
        return this.#moved('No graphics device is given any more', happened, []);
      case 'worker/died':
        return this.#afterDeath(error, attempt, happened);
      case 'engine/memory':
        return this.#afterMemory(error, attempt, happened);
      default:
        throw error;
    }
  }

  async #afterLoss(
    error: AppError,
    attempt: Attempt,
    happened: { readonly at: number; readonly step: number },
  ): Promise<Recovered> {
    // Where the processor cannot go on either, nothing is left to try.
    if (attempt.executor !== 'webgpu') throw error;
    const lost: RunIncident = { ...happened, kind: 'device-lost', reason: reasonOf(error) };
    if (isHidden()) {
      // Browsers take devices from hidden pages: that says nothing of the device.
      this.#say('The graphics device was lost: waiting until this tab is in front again');
      await shown(this.#hiddenLosses++ === 0 ? HIDDEN_MS : Infinity);
    } else {
      const now = performance.now();
      this.#losses = [...this.#losses.filter((at) => now - at < LOSS_WINDOW_MS), now];
    }
    if (this.#losses.length >= 2) {
      return this.#moved('The graphics device was lost twice', happened, [lost]);
    }
    const why = 'The graphics device was lost: starting it again';
    this.#say(why);
    return { why, attempt: { ...attempt, resume: true }, incidents: [lost] };
  }

  #moved(
    because: string,
    happened: { readonly at: number; readonly step: number },
    before: readonly RunIncident[],
  ): Recovered {
    const label = `${because}: going on with the processor`;
    this.#say(label);
    const reason = `${label}.`;
    return {
      why: label,
      attempt: { executor: 'wasm', reason, resume: true },
      incidents: [...before, { ...happened, kind: 'moved', executor: 'wasm', reason }],
    };
  }

  #afterDeath(
    error: AppError,
    attempt: Attempt,
    happened: { readonly at: number; readonly step: number },
  ): Recovered {
    // One that could not even be prepared says why, and would say it again.
    if (++this.#deaths >= MOST_DEATHS || typeof error.data['told'] === 'string') throw error;
    const why = 'The training worker stopped: starting it again';
    this.#say(why);
    const reason = reasonOf(error);
    const incident: RunIncident = { ...happened, kind: 'worker-died', reason };
    return { why, attempt: { ...attempt, resume: true }, incidents: [incident] };
  }

  /** Once: parts of half the rows need about half the memory for what lies between the layers. */
  #afterMemory(
    error: AppError,
    attempt: Attempt,
    happened: { readonly at: number; readonly step: number },
  ): Recovered {
    const parts = this.#divided ? null : nextParts(this.#batchSize, this.#accumulate);
    if (parts === null) throw outOfMemory(error, attempt.executor, this.#batchSize);
    this.#divided = true;
    this.#accumulate = parts;
    const rows = this.#batchSize / parts;
    const why = `Memory ran out: going on with parts of ${rows} rows`;
    this.#say(why);
    const incident: RunIncident = { ...happened, kind: 'divided', rows, reason: error.message };
    return { why, attempt: { ...attempt, resume: true }, incidents: [incident] };
  }
}

/** The next number of equal parts that at least halves them; null where a row is left. */
export function nextParts(batchSize: number, parts: number): number | null {
  for (let next = parts * 2; next <= batchSize; next++) if (batchSize % next === 0) return next;
  return null;
}

function outOfMemory(cause: AppError, executor: ExecutorName, batchSize: number): AppError {
  const elsewhere = executor === 'webgpu' ? ', or train on the processor' : '';
  return new AppError(
    'training/out-of-memory',
    `There is not enough memory for this run, in smaller parts neither. Choose a batch smaller than ${batchSize}, a smaller model${elsewhere}.`,
    { executor, batchSize, said: cause.message },
    cause,
  );
}

function reasonOf({ data, message }: AppError): string {
  const { reason } = data;
  return typeof reason === 'string' ? reason : message;
}
