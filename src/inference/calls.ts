/**
 * Long calls by id. Cancelling raises a flag that the call checks between batches, so what it holds is released
 * in order; awaiting `breathe` lets the cancel message arrive at all.
 */
import { AppError } from '../core/errors';

export class Calls {
  readonly #cancelled = new Map<string, boolean>();

  /** Runs `work` with a check that throws `call/cancelled` once the call was cancelled. */
  async run<T>(callId: string, work: (check: () => Promise<void>) => Promise<T>): Promise<T> {
    this.#cancelled.set(callId, false);
    let last = performance.now();
    try {
      return await work(async () => {
        // A macrotask now and then: microtasks alone would keep the message queue waiting.
        if (performance.now() - last > 50) {
          await new Promise<void>((resolve) => setTimeout(resolve, 0));
          last = performance.now();
        }
        if (this.#cancelled.get(callId))
          throw new AppError('call/cancelled', 'Cancelled. What was done so far is kept.');
      });
    } finally {
      this.#cancelled.delete(callId);
    }
  }

  /** Nothing happens where the call has already ended. */
  cancel(callId: string): void {
    if (this.#cancelled.has(callId)) this.#cancelled.set(callId, true);
  }
}
