/** The profile of a job's run as a Chrome trace, where the job was asked for one. */
import { traceOf } from '../profiling/trace';
import type { Trace } from '../profiling/trace';
import type { OnProgress } from '../protocol/api';
import type { RunEvent, RunHandle } from './runs';

const STEPS = 10;

export class JobTrace {
  readonly #name: string;
  readonly #onProgress: OnProgress;
  #handle: RunHandle | null = null;
  #started = false;
  #trace: Trace | null = null;

  constructor(name: string, onProgress: OnProgress) {
    this.#name = name;
    this.#onProgress = onProgress;
  }

  /** null where the engine cannot time its kernels, or the run was over first. */
  get trace(): Trace | null {
    return this.#trace;
  }

  readonly hear = (event: RunEvent): void => {
    if (event.type === 'profile' && event.profile) {
      this.#trace = traceOf(event.profile, this.#name);
    }
    if (event.type !== 'started') return;
    if (event.canProfile) this.#started = true;
    else this.#note('This engine cannot time its kernels, so there is no profile');
    this.#ask();
  };

  follow(handle: RunHandle): void {
    this.#handle = handle;
    this.#ask();
  }

  #ask(): void {
    if (!this.#started || !this.#handle) return;
    this.#started = false;
    this.#handle.profile(STEPS).catch((error: unknown) => {
      this.#note(`The run could not be profiled: ${String(error)}`);
    });
  }

  #note(text: string): void {
    this.#onProgress({ label: `Note: ${text}.` });
  }
}
