/** The end of a training graph: what replaces the State when a step is done. */
import { attr, TRAINING_DOMAIN } from '../onnx/graph';
import type { Attribute } from '../onnx/graph';
import type { GraphBuilder } from '../onnx/builder';
import { invariant } from '../core/errors';
import type { OptimiserConfig } from '../protocol/entities';
import type { StateSpec } from '../engine/executor';
import { optimiserStride } from '../ops/optimisers/spec';

/** Nearly the largest float32: below it a number is finite; NaN is not below anything. */
const FINITE_BOUND = 3.4e38;

/**
 * Replaces running statistics, but leaves one as it was where the new value or the loss is not finite, so that a
 * bad batch spoils nothing that the optimiser's own skip would protect. Adds the outputs to `updates`.
 */
export function guardStatistics(
  builder: GraphBuilder,
  next: ReadonlyMap<string, string>,
  loss: { readonly numerator: string; readonly denominator: string },
  updates: Map<string, string>,
): void {
  if (next.size === 0) return;
  const limit = builder.scalar(FINITE_BOUND);
  // As in the gradient, weights that sum to 0 make the mean NaN.
  const mean = builder.node('Div', [loss.numerator, loss.denominator]);
  const sound = builder.node('Less', [builder.node('Abs', [mean]), limit]);
  // No absolute value lies below −1: with an unsound loss nothing is replaced.
  const bound = builder.node('Where', [sound, limit, builder.scalar(-1)]);
  for (const [name, value] of next) {
    const fine = builder.node('Less', [builder.node('Abs', [value]), bound]);
    const output = `${name}/next`;
    updates.set(name, builder.node('Where', [fine, value, name], {}, { outputs: [output] }));
  }
}

const NAMES = { sgd: 'SGD', adam: 'Adam', adamw: 'AdamW', lion: 'Lion' } as const;

/** Weights decay where they are matrices or kernels; biases and norm parameters, which are vectors, do not. */
function optimiserAttributes(
  config: OptimiserConfig,
  dims: readonly (readonly number[])[],
): Record<string, Attribute> {
  if (config.kind === 'sgd') return { momentum: attr.float(config.momentum) };
  return {
    beta1: attr.float(config.beta1),
    beta2: attr.float(config.beta2),
    ...('epsilon' in config && { epsilon: attr.float(config.epsilon) }),
    weight_decay: attr.float('weightDecay' in config ? config.weightDecay : 0),
    decay_mask: attr.ints(dims.map((own) => (own.length >= 2 ? 1 : 0))),
  };
}

export interface OptimiserExtras {
  /** A vector with a factor of the learning rate for each weight. */
  readonly factors?: string | undefined;
  /** By what the gradients are too large. */
  readonly lossScale?: string | undefined;
}

/**
 * Adds the optimiser as the last node, its moments as graph inputs, and its outputs to `updates`.
 * Returns the State entries of the moments.
 */
export function addOptimiser(
  builder: GraphBuilder,
  config: OptimiserConfig,
  weights: readonly string[],
  gradients: ReadonlyMap<string, string>,
  dimsOf: (name: string) => readonly number[],
  updates: Map<string, string>,
  { factors, lossScale }: OptimiserExtras = {},
): StateSpec[] {
  const moments: StateSpec[] = [];
  const inputs = ['learning_rate', 'step', 'clip_norm', ...(lossScale ? [lossScale] : [])];
  const outputs: string[] = [];
  const suffixes = optimiserStride(NAMES[config.kind]) === 3 ? ['/m'] : ['/m', '/v'];
  for (const name of weights) {
    const gradient = gradients.get(name);
    invariant(gradient, `The weight "${name}" has no gradient.`);
    inputs.push(name, gradient);
    updates.set(name, `${name}/next`);
    outputs.push(`${name}/next`);
    for (const suffix of suffixes) {
      const moment = builder.input(`${name}${suffix}`, 'float32', dimsOf(name));
      moments.push({ name: moment, dims: dimsOf(name) });
      inputs.push(moment);
      updates.set(moment, `${moment}/next`);
      outputs.push(`${moment}/next`);
    }
  }
  if (factors !== undefined) inputs.push(factors);
  outputs.push('grad_norm', 'step_done');
  const attributes = {
    ...optimiserAttributes(config, weights.map(dimsOf)),
    ...(lossScale && { loss_scaled: attr.int(1) }),
  };
  builder.nodes(NAMES[config.kind], inputs, outputs.length, attributes, {
    domain: TRAINING_DOMAIN,
    outputs,
  });
  return moments;
}
