/**
 * Waiting on what may die: a worker, a device. Racing each wait against one promise of its death would keep every answer
 * for as long as it lives, because a promise that is not settled keeps its reactions, and with them what they lead to:
 * here a wait is remembered only while it lasts.
 */
import type { AppError } from './errors';

export class Lifeline {
  readonly #waiting = new Set<(error: AppError) => void>();
  #death: AppError | null = null;

  /** Settles as `work` does, or rejects with the reason of the death where that comes first. */
  until<T>(work: Promise<T>): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      if (this.#death) reject(this.#death);
      else this.#waiting.add(reject);
      work.then(resolve, reject).finally(() => this.#waiting.delete(reject));
    });
  }

  /** Rejects everything that still waits, and whatever will. */
  cut(death: AppError): void {
    this.#death = death;
    // A moment later: work that failed with it, and perhaps caused the death, tells its own reason.
    for (const reject of this.#waiting) queueMicrotask(() => reject(death));
    this.#waiting.clear();
  }

  /** Before work that makes no sense after the death. */
  throwIfCut(): void {
    if (this.#death) throw this.#death;
  }

  /** How many wait. */
  get waiting(): number {
    return this.#waiting.size;
  }
}
