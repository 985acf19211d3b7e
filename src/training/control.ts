import { Profiling } from './profiling';

/** What a person asks of a run while it is under way. The loop looks at it between steps. */
export class RunControl {
  readonly profiling = new Profiling();
  #wanted: 'run' | 'pause' | 'stop' = 'run';
  #wake: () => void = () => undefined;
  #checkpointWanted = false;

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

  /** Asks for a checkpoint now: the tab may not be there much longer. */
  checkpoint(): void {
    this.#checkpointWanted = true;
  }

  /** Whether one was asked for; true once. */
  takeCheckpointWish(): boolean {
    const wanted = this.#checkpointWanted;
    this.#checkpointWanted = false;
    return wanted;
  }

  /** Resolves after so long, or at once when it is resumed or stopped. */
  async waiting(milliseconds: number): Promise<void> {
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, milliseconds);
      this.#wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }

  /** Resolves when the pause is over, by `resume` or by `stop`. */
  async untilResumed(): Promise<void> {
    while (this.#wanted === 'pause') {
      await new Promise<void>((resolve) => (this.#wake = resolve));
    }
  }
}
