/**
 * Long calls that a person may cancel. Cancelling settles the call at once, whatever the work is doing, and stops
 * what was started for it (a parse worker); so does every other end of the call.
 */
import { AppError } from '../core/errors';

/** Registers what is to be stopped when the call ends, in whatever way. */
export type OnStop = (stop: () => void) => void;

export class Calls {
  readonly #running = new Map<string, () => void>();

  async run<T>(callId: string, work: (onStop: OnStop) => Promise<T>): Promise<T> {
    const stops: (() => void)[] = [];
    const cancelled = new Promise<never>((_, reject) => {
      this.#running.set(callId, () => reject(cancellation()));
    });
    try {
      return await Promise.race([work((stop) => stops.push(stop)), cancelled]);
    } finally {
      this.#running.delete(callId);
      for (const stop of stops) stop();
    }
  }

  cancel(callId: string): void {
    this.#running.get(callId)?.();
  }
}

function cancellation(): AppError {
  return new AppError('data/cancelled', 'Reading was cancelled; nothing was kept.');
}
