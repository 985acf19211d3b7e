/** Values stored as float16 on the graphics processor: near float32, half the arena, and overflow that stops a step. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createWebgpuExecutor } from '../../../src/engine/webgpu/executor';
import type { WebgpuExecutor } from '../../../src/engine/webgpu/executor';
import { buildTrainingGraph } from '../../../src/training/training-graph';
import { ADAM, CNN, distance, feedsFor, forwardOf, MLP } from './support';
import type { Model } from './support';

let webgpu: WebgpuExecutor;
beforeAll(async () => {
  webgpu = await createWebgpuExecutor();
});
afterAll(() => webgpu.dispose());

/** Large enough that its values are stored with half the bits. */
const WIDE: Model = { ...MLP, name: 'MLP of large batches', batchSize: 256 };

function trainingOf(model: Model, lossScale: number) {
  return buildTrainingGraph(forwardOf(model), {
    task: 'classification',
    loss: 'softmax-ce',
    batchSize: model.batchSize,
    optimiser: ADAM,
    withGradients: true,
    lossScale,
  });
}

async function start(model: Model, precision: 'float32' | 'float16', lossScale = 1024) {
  const training = trainingOf(model, lossScale);
  const state = await webgpu.createState(training.stateSpecs);
  await state.write(training.initialState);
  const { updates, outputs } = training;
  const program = await webgpu.compile(training.graph, state, { updates, outputs, precision });
  const step = (count: number) => program.step(feedsFor(model, count)).read();
  return { state, program, step };
}

describe.each([WIDE, CNN])('$name', (model) => {
  it('gives the gradients of float32, but for rounding', async () => {
    const [whole, half] = [await start(model, 'float32', 1), await start(model, 'float16')];
    const expected = await whole.step(1);
    const found = await half.step(1);
    for (const [name, values] of expected) {
      if (name.startsWith('loss_scale')) continue;
      expect(distance(found.get(name), values), name).toBeLessThan(0.02);
    }
    expect(half.program.planId).toMatch(/float16-(packed|native)$/);
    expect(half.program.planId).not.toBe(whole.program.planId);
    for (const { program, state } of [whole, half]) {
      program.dispose();
      state.dispose();
    }
  });

  it('repeats bit for bit', async () => {
    const runs = [];
    for (let run = 0; run < 2; run++) {
      const { step, state, program } = await start(model, 'float16');
      for (const count of [1, 2, 3]) await step(count);
      runs.push(await state.read());
      program.dispose();
      state.dispose();
    }
    expect(runs[0]).toEqual(runs[1]);
  });

  it('skips a step whose numbers overflow, and goes on', async () => {
    const { step, state, program } = await start(model, 'float16', 2 ** 100);
    const before = await state.read();
    const skipped = await step(1);
    expect(skipped.get('grad_norm')?.[0]).not.toSatisfy(Number.isFinite);
    expect(skipped.get('step_done')).toEqual(Float32Array.of(1));
    const weights = [...before.keys()].filter((name) => !/running|loss_scale/.test(name));
    const after = await state.read(weights);
    for (const name of weights) expect(after.get(name), name).toEqual(before.get(name));
    expect((await step(2)).get('loss_scale/used')).toEqual(Float32Array.of(2 ** 99));
    await state.write(new Map([['loss_scale', Float32Array.of(64)]]));
    const next = await step(3);
    expect(next.get('grad_norm')?.[0]).toSatisfy(Number.isFinite);
    program.dispose();
    state.dispose();
  });
});

it('takes less of the arena where activations are most of it', async () => {
  const model: Model = { ...CNN, batchSize: 32 };
  const [whole, half] = [await start(model, 'float32'), await start(model, 'float16')];
  const bytes = ({ program }: typeof whole) => program.plan.arenaBytes;
  expect(bytes(half)).toBeLessThan(0.75 * bytes(whole));
  for (const { program, state } of [whole, half]) {
    program.dispose();
    state.dispose();
  }
});
