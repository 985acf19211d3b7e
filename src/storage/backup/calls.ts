/** Long calls that can be cancelled: a worker gets no AbortSignal, so a call has an id. */
import { AppError } from '../../core/errors';

export interface Call {
  /** Throws `backup/cancelled` once it was cancelled. */
  check(): void;
}

export class Calls {
  readonly #cancelled = new Set<string>();
  readonly #running = new Set<string>();

  async run<T>(callId: string, work: (call: Call) => Promise<T>): Promise<T> {
    this.#running.add(callId);
    try {
      return await work({
        check: () => {
          if (this.#cancelled.has(callId)) {
            throw new AppError('backup/cancelled', 'It was cancelled; nothing was kept of it.');
          }
        },
      });
    } finally {
      this.#running.delete(callId);
      this.#cancelled.delete(callId);
    }
  }

  cancel(callId: string): void {
    if (this.#running.has(callId)) this.#cancelled.add(callId);
  }
}
