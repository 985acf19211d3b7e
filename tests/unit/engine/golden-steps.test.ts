/** Whole training steps on the reference executor against PyTorch. */
import { describe, expect, it } from 'vitest';
import { createReferenceExecutor } from '../../../src/engine/reference/executor';
import { buildTrainingGraph, buildValidationGraph } from '../../../src/training/training-graph';
import {
  goldenFeeds,
  goldenForward,
  goldenOptions,
  goldenTrainingCases,
  relativeDistance,
} from '../../support/golden';

describe.each(goldenTrainingCases().map((golden) => [golden.name, golden] as const))(
  '%s',
  (_, golden) => {
    it('three steps equal PyTorch: losses, gradients, norm, weights, moments, statistics', async () => {
      const training = buildTrainingGraph(goldenForward(golden), goldenOptions(golden));
      const executor = createReferenceExecutor();
      const state = await executor.createState(training.stateSpecs);
      await state.write(training.initialState);
      const program = await executor.compile(training.graph, state, training);
      for (const [index, step] of golden.steps.entries()) {
        const read = await program.step(goldenFeeds(golden, index)).read();
        const scalar = (name: string) => read.get(name)?.[0];
        expect(scalar('loss_numerator')).toBeCloseTo(step.loss_numerator, 5);
        expect(scalar('loss_denominator')).toBeCloseTo(step.loss_denominator, 5);
        expect(scalar('grad_norm')).toBeCloseTo(step.grad_norm, 5);
        expect(scalar('step_done')).toBe(index + 1);
        for (const [name, { data }] of Object.entries(step.gradients)) {
          const distance = relativeDistance(read.get(`${name}/grad`) ?? [], data);
          expect(distance, `gradient of ${name}, step ${index + 1}`).toBeLessThan(2e-5);
        }
        const after = await state.read();
        expect([...after.keys()].sort()).toEqual(Object.keys(step.state).sort());
        for (const [name, { data }] of Object.entries(step.state)) {
          const distance = relativeDistance(after.get(name) ?? [], data);
          expect(distance, `${name} after step ${index + 1}`).toBeLessThan(2e-5);
        }
      }
    });

    it('the loss of each row is what the validation graph says', async () => {
      if (golden.model === 'cnn') return; // validation uses running statistics, PyTorch's step did not
      const forward = goldenForward(golden);
      const options = goldenOptions(golden);
      const training = buildTrainingGraph(forward, options);
      const validation = buildValidationGraph(forward, options);
      const executor = createReferenceExecutor();
      const state = await executor.createState(training.stateSpecs);
      await state.write(training.initialState);
      const program = await executor.compile(validation.graph, state, {
        updates: new Map(),
        outputs: validation.outputs,
      });
      const read = await program.step(goldenFeeds(golden, 0)).read();
      const sum = Array.from(read.get('row_loss') ?? []).reduce(
        (total, loss, row) => total + loss * (golden.steps[0]?.feeds.sample_weight?.data[row] ?? 0),
        0,
      );
      expect(read.get('loss_numerator')?.[0]).toBeCloseTo(sum, 4);
      const withoutDropout = !golden.steps[0]?.feeds.dropout_key;
      if (withoutDropout) {
        const expected = golden.steps[0]?.row_loss.data ?? [];
        expect(relativeDistance(read.get('row_loss') ?? [], expected)).toBeLessThan(1e-5);
      }
    });
  },
);
