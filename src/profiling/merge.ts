/** Several profiled steps as one. A single step is at the mercy of whatever else the computer did meanwhile. */
import { AppError } from '../core/errors';
import type { StepProfile } from '../protocol/profile';

/** The lower of the two middle ones where there are two: a time that was measured. */
export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.floor((sorted.length - 1) / 2)] ?? 0;
}

/**
 * Medians of each kernel's time and of the step's. Steps of another plan than the last one's (a plan may be tuned
 * between two steps) are left out.
 */
export function mergeSteps(steps: readonly StepProfile[]): StepProfile {
  const last = steps.at(-1);
  if (!last)
    throw new AppError('profiling/none', 'No step was profiled, so there is nothing to show.');
  const alike = steps.filter((step) => planKey(step) === planKey(last));
  return {
    ...last,
    stepMicros: median(alike.map(({ stepMicros }) => stepMicros)),
    kernels: last.kernels.map((kernel, index) => ({
      ...kernel,
      micros: median(alike.map(({ kernels }) => kernels[index]?.micros ?? 0)),
    })),
  };
}

function planKey({ planId, kernels }: StepProfile): string {
  return [planId, ...kernels.map(({ label, nodes }) => `${label} ${nodes.join(' ')}`)].join('\n');
}
