/** Every operator of the registry that has a gradient, at least once; families try theirs over random shapes too. */
import { expect, it } from 'vitest';
import { ALL_OPS } from '../../../src/ops/registry';
import { DIFFERENTIABLE_CALLS, WITHOUT_GRADIENT } from '../../support/differentiable-calls';
import { checkGradients } from '../../support/gradient-check';

it('none is left out', () => {
  const all = ALL_OPS.filter(
    ({ domain, gradient, expand }) => domain === '' && (gradient ?? expand),
  );
  // If reads values from around it, which one call cannot have: differentiate.test.ts tries it.
  const tried = [...DIFFERENTIABLE_CALLS.map(({ op }) => op), ...WITHOUT_GRADIENT, 'If'];
  expect(tried.sort()).toEqual(all.map(({ name }) => name).sort());
});

it.each(DIFFERENTIABLE_CALLS.map((call) => [call.op, call] as const))('%s', (_, call) =>
  checkGradients(call, { tolerance: 1e-5 }),
);
