/**
 * The learning rate of each step. Steps count from 1. With w warm-up steps of T and base rate η:
 *   t ≤ w          η · t / w                                     (linear warm-up, Goyal et al. 2017, arXiv 1706.02677)
 *   constant       η
 *   cosine         η · ½ · (1 + cos(π · (t − 1 − w) / (T − w)))  (Loshchilov & Hutter 2017, arXiv 1608.03983)
 * so the first step after warm-up has the full rate and the last one is still above 0.
 */
import type { TrainingConfig } from '../protocol/entities';

export function learningRateAt(
  config: Pick<TrainingConfig, 'learningRate' | 'schedule'>,
  step: number,
  totalSteps: number,
): number {
  const { learningRate, schedule } = config;
  const warmup = Math.round(schedule.warmup * totalSteps);
  if (step <= warmup) return (learningRate * step) / warmup;
  if (schedule.kind === 'constant') return learningRate;
  // Training that goes on past its plan stays at the end of the curve.
  const progress = Math.min(1, (step - 1 - warmup) / Math.max(1, totalSteps - warmup));
  return learningRate * 0.5 * (1 + Math.cos(Math.PI * progress));
}
