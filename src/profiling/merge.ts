/** Several profiled steps as one. A single step is at the mercy of whatever else the computer did meanwhile. */
import { AppError } from '../core/errors';
import type { StepProfile } from '../protocol/profile';

/** The lower of the two middle ones where there are two: a time that was measured. */
export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.floor((sorted.length - 1) / 2)] ?? 0;
}

/** A median of so many ticks of the clock is exact enough. */
const ENOUGH_TICKS = 20;
/** What is longer than this many times the others was held up by something else. */
const HELD_UP = 3;

/**
 * The median; but where that is only some ticks of the clock, the mean of what was not held up. Browsers let clocks
 * tick slowly (5 µs on a page, 100 µs on a graphics processor), and a kernel that takes a fifth of a tick shows as a
 * whole one in every fifth step and as nothing in the others.
 */
export function typical(values: readonly number[], tick: number): number {
  const middle = median(values);
  if (middle >= ENOUGH_TICKS * tick) return middle;
  const sound = values.filter((value) => value <= HELD_UP * Math.max(middle, tick));
  return sound.reduce((sum, value) => sum + value, 0) / Math.max(1, sound.length);
}

/** The least that was measured and is more than nothing: no shorter than the clock's tick. */
function tickOf(steps: readonly StepProfile[]): number {
  const times = steps.flatMap(({ kernels }) => kernels.map(({ micros }) => micros));
  return times.reduce((least, micros) => (micros > 0 && micros < least ? micros : least), Infinity);
}

/**
 * Typical times of each kernel and of the step. Steps of another plan than the last one's (a plan may be tuned between
 * two steps) are left out.
 */
export function mergeSteps(steps: readonly StepProfile[]): StepProfile {
  const last = steps.at(-1);
  if (!last) {
    throw new AppError('profiling/none', 'No step was profiled, so there is nothing to show.');
  }
  const alike = steps.filter((step) => planKey(step) === planKey(last));
  const tick = tickOf(alike);
  return {
    ...last,
    stepMicros: median(alike.map(({ stepMicros }) => stepMicros)),
    kernels: last.kernels.map((kernel, index) => ({
      ...kernel,
      micros: typical(
        alike.map(({ kernels }) => kernels[index]?.micros ?? 0),
        tick,
      ),
    })),
  };
}

function planKey({ planId, kernels }: StepProfile): string {
  return [planId, ...kernels.map(({ label, nodes }) => `${label} ${nodes.join(' ')}`)].join('\n');
}
