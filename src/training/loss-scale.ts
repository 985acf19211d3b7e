/**
 * Dynamic loss scaling, for training in float16 (Micikevicius et al. 2018, arXiv 1710.03740, section 3.2): the loss is
 * multiplied by s before it is differentiated, so that small gradients do not vanish; the optimiser divides by s again.
 *   a step whose gradient norm was not finite is skipped by the optimiser, and then   s ← max(s / 2, 1)
 *   after 2000 good steps in a row                                                    s ← min(2 · s, 2²⁴)
 * s lives in the State and each step derives its own from the norm of the one before. So it needs no reading back, is
 * part of every checkpoint, and does not depend on when the host looks. Powers of 2 change no digits.
 */
import type { GraphBuilder } from '../onnx/builder';
import type { StateSpec } from '../engine/executor';

export const FIRST_LOSS_SCALE = 2 ** 16;
export const SMALLEST_LOSS_SCALE = 1;
const LARGEST = 2 ** 24;
const GOOD_STEPS = 2000;
/** Nearly the largest float32: below it a number is finite; NaN is not below anything. */
const FINITE_BOUND = 3.4e38;

export const LOSS_SCALE = {
  entry: 'loss_scale',
  /** Good steps since the scale last changed. */
  good: 'loss_scale/good',
  /** Gradient norm of the step before. */
  norm: 'loss_scale/norm',
  /** Readable output: the scale of this step. */
  used: 'loss_scale/used',
} as const;

export function scaleSpecs(): StateSpec[] {
  return [LOSS_SCALE.entry, LOSS_SCALE.good, LOSS_SCALE.norm].map((name) => ({ name, dims: [] }));
}

/**
 * Adds the scale of this step and returns its value; to `updates`, but for a micro-step, what the next step begins
 * from. The norm of the step itself is known only when the optimiser is done, and nothing may follow that.
 */
export function addLossScale(builder: GraphBuilder, updates: Map<string, string> | null): string {
  const { entry, good, norm, used } = LOSS_SCALE;
  for (const { name } of scaleSpecs()) builder.input(name, 'float32', []);
  const two = builder.scalar(2);
  const finite = builder.node('Less', [builder.node('Abs', [norm]), builder.scalar(FINITE_BOUND)]);
  const early = builder.node('Less', [good, builder.scalar(GOOD_STEPS)]);
  const doubled = builder.node('Min', [builder.node('Mul', [entry, two]), builder.scalar(LARGEST)]);
  const halved = builder.node('Max', [
    builder.node('Div', [entry, two]),
    builder.scalar(SMALLEST_LOSS_SCALE),
  ]);
  const kept = builder.node('Where', [early, entry, doubled]);
  const scale = builder.node('Where', [finite, kept, halved], {}, { outputs: [used] });
  if (updates !== null) {
    const one = builder.scalar(1);
    // The step that this one is counts too: if it fails, the next begins from 0 again.
    const counted = builder.node('Where', [early, builder.node('Add', [good, one]), one]);
    updates.set(entry, scale);
    updates.set(good, builder.node('Where', [finite, counted, one]));
    updates.set(norm, 'grad_norm');
  }
  return scale;
}
