import { Profiling } from './profiling';

/** What a person asks of a run while it is under way. The loop looks at it between steps. */
export class RunControl {
  readonly profiling = new Profiling();
  #wanted: 'run' | 'pause' | 'stop' = 'run';
  #wake: () => void = () => undefined;

  get pauseWanted(): boolean {
    return this.#wanted === 'pause';
  }

  get stopWanted(): boolean {
    return this.#wanted === 'stop';
  }

  /** A run that was asked to stop stays asked. */
  pause(): void {
    if (this.#wanted === 'run') this.#wanted = 'pause';
  }

  resume(): void {
    if (this.#wanted === 'pause') this.#wanted = 'run';
    this.#wake();
  }

  stop(): void {
    this.#wanted = 'stop';
    this.#wake();
  }

  /** Resolves when the pause is over, by `resume` or by `stop`. */
  async untilResumed(): Promise<void> {
    while (this.#wanted === 'pause') {
      await new Promise<void>((resolve) => (this.#wake = resolve));
    }
  }
}
