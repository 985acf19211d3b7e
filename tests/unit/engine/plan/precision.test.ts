/** What a plan makes of `precision: float16`, with and without the type in WGSL. */
import { describe, expect, it } from 'vitest';
import { GraphBuilder } from '../../../../src/onnx/builder';
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

it('keeps what leaves the step whole, also where it must be copied', () => {
  const builder = new GraphBuilder('sums');
  const size = 2048;
  const sum = builder.input('sum', 'float32', [size]);
  const x = builder.input('x', 'float32', [size]);
  const next = builder.node('Add', [sum, builder.node('Exp', [x])]);
  builder.node('Neg', [next], {}, { outputs: ['next'] });
  // The old sum is read once more, at other places, so the new one cannot lie there at once.
  builder.node('ReduceMax', [builder.node('Mul', [sum, 'next'])], {}, { outputs: ['largest'] });
  builder.output('next', 'float32', [size]);
  builder.output('largest', 'float32', [1]);
  const { kernels } = planStep({
    graph: builder.build(),
    state: new StateLayout([{ name: 'sum', dims: [size] }]),
    options: {
      updates: new Map([['sum', 'next']]),
      outputs: ['largest'],
      precision: 'float16',
    },
    traits: USUAL_TRAITS,
    bindingBytes: Infinity,
  });
  const copy = kernels.find(({ label }) => label === 'Copy');
  expect(copy).toBeDefined();
  for (const kernel of kernels) {
    if (kernel.kind === 'dispatch') expect(kernel.code).not.toContain('half0');
  }
});
