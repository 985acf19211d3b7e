/** Estimates as they are asked for: the screen asks with every setting that changes, and the run once more. */
import type { ExecutorName } from '../engine/executor';
import type { EstimateMemoryRequest } from '../protocol/api';
import type { MemoryEstimate } from '../protocol/memory';
import { estimateMemory, tooLarge } from './estimate';
import type { Lesson } from './lesson';
import { canLook } from './look';

/** What may be proposed instead. */
export const OTHERS: Readonly<Record<ExecutorName, readonly ExecutorName[]>> = {
  webgpu: ['wasm'],
  wasm: [],
  reference: [],
};

export class Estimates {
  #last: { readonly key: string; readonly estimate: Promise<MemoryEstimate> } | null = null;

  of(request: EstimateMemoryRequest, lesson: Lesson | null): Promise<MemoryEstimate> {
    const { config, prepared, executor, precision, limits, others } = request;
    const { task, blueprint, training, seed } = config;
    const own = { task, blueprint, training, seed };
    const { recipe } = prepared;
    const looked = lesson !== null && canLook(request, lesson);
    const key = JSON.stringify([own, recipe, looked, executor, precision, limits, others]);
    if (this.#last?.key === key) return this.#last.estimate;
    const estimate = estimateMemory({
      ...{ config: own, recipe, executor, precision, lesson, looked, limits, others },
    });
    this.#last = { key, estimate };
    return estimate;
  }

  /** Refuses a run that would not fit. @throws AppError `training/memory`, which says what would */
  async admit(request: EstimateMemoryRequest, lesson: Lesson | null): Promise<void> {
    const { executor, limits } = request;
    if (executor === 'reference' || (executor === 'webgpu' && limits === null)) return;
    const estimate = await this.of(request, lesson);
    if (!estimate.fits) throw tooLarge(estimate);
  }
}
