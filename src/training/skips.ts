/** Steps that the optimiser left out because their gradient was not finite, and when there are too many of them. */
import type { SkippedSteps } from '../protocol/entities';
import { LOSS_SCALE, SMALLEST_LOSS_SCALE } from './loss-scale';
import { scalar } from './validation';

/** Steps in a row that may be skipped before we give up; with a loss scale, once it cannot become smaller. */
const ALLOWED = 5;
const MOST_NAMED = 100;

export class Skips {
  #count = 0;
  #steps: number[] = [];
  #inRow = 0;
  #scale: number | null = null;

  /** Whether the loss is scaled, as it is in float16. */
  get scaled(): boolean {
    return this.#scale !== null;
  }

  resume(kept: SkippedSteps | undefined): void {
    if (kept === undefined) return;
    this.#count = kept.count;
    this.#steps = [...kept.steps];
    this.#scale = kept.lossScale;
    this.#inRow = kept.inRow ?? 0;
  }

  /** Takes in a step. True where it shows that learning has come to an end. */
  take(step: number, result: ReadonlyMap<string, Float32Array>): boolean {
    const used = result.has(LOSS_SCALE.used) ? scalar(result, LOSS_SCALE.used) : null;
    const skipped = !Number.isFinite(scalar(result, 'grad_norm'));
    this.#scale = used !== null && skipped ? Math.max(used / 2, SMALLEST_LOSS_SCALE) : used;
    this.#inRow = skipped ? this.#inRow + 1 : 0;
    if (skipped) {
      this.#count++;
      this.#steps = [...this.#steps, step].slice(-MOST_NAMED);
    }
    // Without a scale to lower, a loss that is not finite stays so.
    if (used === null && !Number.isFinite(scalar(result, 'loss_numerator'))) return true;
    return this.#inRow >= ALLOWED && (used === null || used <= SMALLEST_LOSS_SCALE);
  }

  /** For a record: empty where nothing is to be said. */
  record(): { readonly skipped?: SkippedSteps } {
    if (this.#count === 0 && this.#scale === null) return {};
    const inRow = this.#inRow > 0 ? { inRow: this.#inRow } : {};
    return {
      skipped: { count: this.#count, steps: this.#steps, lossScale: this.#scale, ...inRow },
    };
  }
}
