/**
 * The optimiser node on typed arrays: in place, rounded to float32 when stored. The equations and their papers
 * stand in ops/optimisers/spec.ts, whose reference kernel is the oracle of this loop.
 */
import { invariant } from '../../core/errors';
import type { OptimisedWeight, OptimiserPlan } from '../optimiser';

export interface UpdateScalars {
  readonly learningRate: number;
  readonly step: number;
  readonly clipNorm: number;
  /** By which the gradients are divided before anything else; 1 where absent. */
  readonly lossScale?: number;
  /** Factor of the learning rate for each weight; 0 lets it rest. */
  readonly factors: ArrayLike<number> | undefined;
}

/** ‖all gradients‖₂, summed in order. Resting weights count only where they are not finite. */
export function gradientNorm(
  gradients: readonly Float32Array[],
  factors?: ArrayLike<number>,
): number {
  let squares = 0;
  gradients.forEach((gradient, index) => {
    let own = 0;
    for (const value of gradient) own += value * value;
    squares += factors?.[index] === 0 ? 0 * own : own;
  });
  return Math.sqrt(squares);
}

/** Updates all weights and returns the norm; changes nothing where the norm is not finite in float32. */
export function applyUpdate(
  plan: OptimiserPlan,
  gradients: readonly Float32Array[],
  array: (name: string) => Float32Array,
  scalars: UpdateScalars,
): number {
  const { clipNorm, lossScale = 1 } = scalars;
  const norm = Math.fround(gradientNorm(gradients, scalars.factors) / lossScale);
  if (!Number.isFinite(norm)) return norm;
  const scale = (clipNorm > 0 && norm > clipNorm ? clipNorm / norm : 1) / lossScale;
  plan.weights.forEach((weight, index) => {
    const gradient = gradients[index];
    invariant(gradient !== undefined, `The gradient of "${weight.weight}" is missing.`);
    const w = array(weight.weight);
    const [m, v] = weight.moments.map(array);
    invariant(m !== undefined, `"${weight.weight}" has no moments.`);
    const factor = scalars.factors?.[index] ?? 1;
    const own = { ...scalars, learningRate: scalars.learningRate * factor };
    if (plan.kind === 'Lion') updateLion(plan, weight, w, gradient, m, scale, own);
    else if (v === undefined) updateSgd(plan, w, gradient, m, scale, own);
    else updateAdam(plan, weight, w, gradient, m, v, scale, own);
  });
  return norm;
}

function updateSgd(
  plan: OptimiserPlan,
  w: Float32Array,
  gradient: Float32Array,
  m: Float32Array,
  scale: number,
  { learningRate }: UpdateScalars,
): void {
  const { momentum } = plan.settings;
  for (let i = 0; i < w.length; i++) {
    const velocity = momentum * (m[i] as number) + (gradient[i] as number) * scale;
    m[i] = velocity;
    w[i] = (w[i] as number) - learningRate * velocity;
  }
}

function updateLion(
  plan: OptimiserPlan,
  { decays }: OptimisedWeight,
  w: Float32Array,
  gradient: Float32Array,
  m: Float32Array,
  scale: number,
  { learningRate }: UpdateScalars,
): void {
  const { beta1, beta2, weightDecay } = plan.settings;
  const kept = decays ? 1 - learningRate * weightDecay : 1;
  for (let i = 0; i < w.length; i++) {
    const g = (gradient[i] as number) * scale;
    const before = m[i] as number;
    m[i] = beta2 * before + (1 - beta2) * g;
    w[i] = (w[i] as number) * kept - learningRate * Math.sign(beta1 * before + (1 - beta1) * g);
  }
}

function updateAdam(
  plan: OptimiserPlan,
  { decays }: OptimisedWeight,
  w: Float32Array,
  gradient: Float32Array,
  m: Float32Array,
  v: Float32Array,
  scale: number,
  { learningRate, step }: UpdateScalars,
): void {
  const { beta1, beta2, epsilon, weightDecay } = plan.settings;
  const rate1 = 1 - beta1;
  const rate2 = 1 - beta2;
  const rate = learningRate / (1 - beta1 ** step);
  const correction = 1 / (1 - beta2 ** step);
  const kept = decays ? 1 - learningRate * weightDecay : 1;
  for (let i = 0; i < w.length; i++) {
    const g = (gradient[i] as number) * scale;
    const first = beta1 * (m[i] as number) + rate1 * g;
    const second = beta2 * (v[i] as number) + rate2 * g * g;
    m[i] = first;
    v[i] = second;
    w[i] = (w[i] as number) * kept - (rate * first) / (Math.sqrt(second * correction) + epsilon);
  }
}
