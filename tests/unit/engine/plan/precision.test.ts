/** What a plan makes of `precision: float16`, with and without the type in WGSL. */
import { describe, expect, it } from 'vitest';
import { BUDGET_MODELS, trainingOf } from '../../../../bench/models';
import { planStep } from '../../../../src/engine/plan/compile';
import { USUAL_TRAITS } from '../../../../src/engine/plan/estimate';
import { expandForPlan } from '../../../../src/engine/plan/lowerings';
import { StateLayout } from '../../../../src/engine/plan/state-layout';

const training = trainingOf(BUDGET_MODELS.gpt);

function planOf(precision: 'float32' | 'float16', float16: boolean) {
  const traits = { ...USUAL_TRAITS, float16 };
  const plan = planStep({
    graph: expandForPlan(training.graph, traits),
    state: new StateLayout(training.stateSpecs),
    options: { ...training, precision },
    traits,
    bindingBytes: Infinity,
  });
  const codes = plan.kernels.flatMap((kernel) => (kernel.kind === 'dispatch' ? [kernel.code] : []));
  return { plan, codes };
}

describe('the budget GPT', () => {
  const whole = planOf('float32', true);

  it('has no float16 where none was asked for', () => {
    for (const code of whole.codes) expect(code).not.toMatch(/\bf16\b|unpack2x16float/);
  });

  it.each([true, false])('halves what operators give each other (f16 in WGSL: %s)', (float16) => {
    const { plan, codes } = planOf('float16', float16);
    expect(plan.kernels.length).toBe(whole.plan.kernels.length);
    // Gradients of weights stay whole: 21 MB of this arena.
    expect(plan.arenaBytes).toBeLessThan(0.75 * whole.plan.arenaBytes);
    for (const code of codes) {
      expect(/\bf16\b/.test(code), 'the type and the directive go together').toBe(
        code.startsWith('enable f16;'),
      );
    }
    const products = codes.filter((code) => code.includes('vec4<f16>'));
    const packed = codes.filter((code) => code.includes('unpack2x16float'));
    expect(products.length > 10).toBe(float16);
    expect(packed.length > 10).toBe(!float16);
    const update = codes.at(-1) ?? '';
    expect(update).not.toMatch(/f16|half0/);
  });
});
