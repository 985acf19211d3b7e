/** Learning-rate factors do the same on every executor: scaled, resting, and let go again. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Executor } from '../../../src/engine/executor';
import { createReferenceExecutor } from '../../../src/engine/reference/executor';
import { createWasmExecutor } from '../../../src/engine/wasm/executor';
import { createWebgpuExecutor } from '../../../src/engine/webgpu/executor';
import { buildTrainingGraph, FACTORS_INPUT } from '../../../src/training/training-graph';
import { ADAMW, distance, feedsFor, forwardOf, MLP, open, SGD, stepAndRead } from './support';

let devices: readonly Executor[];
beforeAll(async () => {
  devices = [await createWasmExecutor(), await createWebgpuExecutor()];
});
afterAll(() => {
  for (const device of devices) device.dispose();
});

describe.each([SGD, ADAMW])('$kind', (optimiser) => {
  const training = buildTrainingGraph(forwardOf(MLP), {
    ...{ task: 'classification', loss: 'softmax-ce', batchSize: MLP.batchSize },
    optimiser,
    withFactors: true,
  });
  /** In the third step the weights that rested join in. */
  const factorsOf = (step: number) =>
    Float32Array.from(training.weights, (_, index) =>
      index < 3 && step < 3 ? 0 : 1 / 2 ** (index % 3),
    );

  async function trained(executor: Executor) {
    const { state, program } = await open(executor, training);
    const norms: number[] = [];
    const states = [];
    for (let step = 1; step <= 3; step++) {
      const feeds = feedsFor(MLP, step).set(FACTORS_INPUT, factorsOf(step));
      norms.push((await stepAndRead(program, feeds)).get('grad_norm')?.[0] ?? NaN);
      states.push(await state.read());
    }
    program.dispose();
    state.dispose();
    return { norms, states };
  }

  it('agrees with the reference on wasm and webgpu', async () => {
    const expected = await trained(createReferenceExecutor());
    for (const device of devices) {
      const found = await trained(device);
      found.states.forEach((state, step) => {
        const norm = expected.norms[step] ?? NaN;
        expect(Math.abs((found.norms[step] ?? NaN) - norm) / norm, device.name).toBeLessThan(1e-4);
        for (const [name, values] of expected.states[step] ?? []) {
          const off = distance(state.get(name), values);
          expect(off, `${name} on ${device.name}, step ${step + 1}`).toBeLessThan(2e-3);
        }
      });
      for (const name of training.weights.slice(0, 3)) {
        expect(found.states[1]?.get(name), name).toEqual(training.initialState.get(name));
        expect(found.states[2]?.get(name), name).not.toEqual(training.initialState.get(name));
      }
    }
  });
});
