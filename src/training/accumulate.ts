/**
 * Gradient accumulation: a step of B rows as n micro-steps of B/n, so that only B/n rows' values are in memory.
 * With L = Σ wᵢ·lᵢ over Σ wᵢ the gradient of the numerator is a sum over rows, whatever their grouping:
 *   each micro-step   S ← S + ∇ Σ wᵢ·lᵢ over its own rows  (the first one begins at 0)
 *   the end           g = S / Σ wᵢ over all rows; clip and update as ever
 * So the step is that of the whole batch up to rounding, but for batch norms, which see one micro-batch at a time.
 */
import { GraphBuilder } from '../onnx/builder';
import type { StateSpec } from '../engine/executor';

const LOSS_SUMS = ['loss_numerator', 'loss_denominator'] as const;

export const sumOf = (name: string): string => `${name}/sum`;

/** State entries that a step fills and its end empties: nothing of them outlives a step. */
export function isSum(name: string): boolean {
  return name.endsWith(sumOf(''));
}

export function sumSpecs(
  weights: readonly string[],
  dimsOf: (name: string) => readonly number[],
): StateSpec[] {
  return [
    ...LOSS_SUMS.map((name) => ({ name: sumOf(name), dims: [] })),
    ...weights.map((name) => ({ name: sumOf(name), dims: dimsOf(name) })),
  ];
}

interface MicroStep {
  readonly builder: GraphBuilder;
  readonly loss: { readonly numerator: string; readonly denominator: string };
  readonly gradients: ReadonlyMap<string, string>;
  readonly updates: Map<string, string>;
}

/** Adds losses and gradients to the sums; where the feed `micro_step` is 0 the sums begin anew. */
export function addToSums(step: MicroStep, sums: readonly StateSpec[]): void {
  const { builder, loss, gradients, updates } = step;
  const values = [loss.numerator, loss.denominator, ...gradients.values()];
  const first = builder.node('Less', ['micro_step', builder.scalar(0.5)]);
  const zero = builder.scalar(0);
  sums.forEach(({ name, dims }, index) => {
    const sum = builder.input(name, 'float32', dims);
    // Not a product with 0: a sum that is not finite would stay so for ever.
    const before = builder.node('Where', [first, zero, sum]);
    const outputs = [`${name}/next`];
    updates.set(name, builder.node('Add', [before, values[index] ?? ''], {}, { outputs }));
  });
}

/** The end of a step: losses and gradients from the sums, for the optimiser to follow. */
export function startApplying(
  name: string,
  weights: readonly string[],
  dimsOf: (name: string) => readonly number[],
): { builder: GraphBuilder; gradients: Map<string, string>; updates: Map<string, string> } {
  const builder = new GraphBuilder(`${name}/apply`);
  for (const weight of weights) builder.input(weight, 'float32', dimsOf(weight));
  for (const sum of sumSpecs(weights, dimsOf)) builder.input(sum.name, 'float32', sum.dims);
  for (const loss of LOSS_SUMS) builder.node('Identity', [sumOf(loss)], {}, { outputs: [loss] });
  const gradients = new Map<string, string>();
  for (const weight of weights) {
    const parts = [sumOf(weight), sumOf('loss_denominator')];
    gradients.set(weight, builder.node('Div', parts));
  }
  return { builder, gradients, updates: new Map() };
}
