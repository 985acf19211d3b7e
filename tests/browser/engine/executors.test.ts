/** The device executors against the reference interpreter and against each other, on whole training steps. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Executor } from '../../../src/engine/executor';
import { createReferenceExecutor } from '../../../src/engine/reference/executor';
import { createWasmExecutor } from '../../../src/engine/wasm/executor';
import { createWebgpuExecutor } from '../../../src/engine/webgpu/executor';
import type { WebgpuExecutor } from '../../../src/engine/webgpu/executor';
import { buildValidationGraph } from '../../../src/training/training-graph';
import {
  ADAM,
  ADAMW,
  CNN,
  CNN_AVERAGE,
  distance,
  feedsFor,
  forwardOf,
  MLP,
  open,
  SGD,
  stepAndRead,
  train,
  trainingOf,
} from './support';

const reference = createReferenceExecutor();
let webgpu: WebgpuExecutor;
let wasm: Executor;
const each = (name: 'webgpu' | 'wasm'): Executor => (name === 'webgpu' ? webgpu : wasm);

beforeAll(async () => {
  webgpu = await createWebgpuExecutor();
  wasm = await createWasmExecutor();
});
afterAll(() => {
  webgpu.dispose();
  wasm.dispose();
});

describe.each([MLP, CNN, CNN_AVERAGE])('$name', (model) => {
  it.each(['webgpu', 'wasm'] as const)(
    'first step on %s agrees with the reference',
    async (name) => {
      const expected = await train(reference, model, 1);
      const found = await train(each(name), model, 1);
      for (const [output, values] of expected.first) {
        expect(distance(found.first.get(output), values), output).toBeLessThan(1e-4);
      }
      for (const [entry, values] of expected.state) {
        // Adam divides a gradient by its own size, so rounding of tiny gradients shows fully in the weights.
        expect(distance(found.state.get(entry), values), entry).toBeLessThan(2e-3);
      }
    },
  );
});

describe.each([MLP, CNN])('$name over 50 steps', (model) => {
  it('learns the same on both executors, and twice the same on each', async () => {
    const gpu = await train(webgpu, model, 50);
    const again = await train(webgpu, model, 50);
    const cpu = await train(wasm, model, 50);
    const cpuAgain = await train(wasm, model, 50);
    gpu.losses.forEach((loss, step) => {
      expect(Math.abs(loss - (cpu.losses[step] ?? NaN)), `step ${step + 1}`).toBeLessThan(1e-2);
    });
    expect(gpu.losses.at(-1)).toBeLessThan((gpu.losses[0] ?? 0) / 2);
    for (const [a, b] of [
      [gpu, again],
      [cpu, cpuAgain],
    ] as const) {
      expect(b.losses).toEqual(a.losses);
      for (const [entry, values] of a.state) expect(b.state.get(entry), entry).toEqual(values);
    }
  });
});

describe.each(['webgpu', 'wasm'] as const)('%s', (name) => {
  it.each([SGD, ADAM, ADAMW])('updates by $kind as the reference does', async (optimiser) => {
    const expected = await train(reference, MLP, 5, optimiser);
    const found = await train(each(name), MLP, 5, optimiser);
    for (const [entry, values] of expected.state) {
      expect(distance(found.state.get(entry), values), entry).toBeLessThan(1e-3);
    }
    expect(found.first.get('step_done')).toEqual(Float32Array.of(1));
  });

  it('skips the update where the gradient is not finite, and goes on after', async () => {
    const training = trainingOf(CNN);
    const { state, program } = await open(each(name), training);
    const before = await state.read();
    const bad = feedsFor(CNN, 1);
    bad.set('features', new Float32Array(bad.get('features')?.length ?? 0).fill(NaN));
    const results = await stepAndRead(program, bad);
    expect(Number.isFinite(results.get('grad_norm')?.[0])).toBe(false);
    expect(results.get('step_done')).toEqual(Float32Array.of(1));
    expect(await state.read()).toEqual(before);
    const good = await stepAndRead(program, feedsFor(CNN, 2));
    expect(Number.isFinite(good.get('grad_norm')?.[0])).toBe(true);
    expect(await state.read()).not.toEqual(before);
    program.dispose();
    state.dispose();
  });

  it('keeps a snapshot and goes back to it', async () => {
    const training = trainingOf(MLP);
    const { state, program } = await open(each(name), training);
    await expect(state.restore()).rejects.toMatchObject({ code: 'engine/state' });
    await stepAndRead(program, feedsFor(MLP, 1));
    const kept = await state.read();
    await state.snapshot();
    await stepAndRead(program, feedsFor(MLP, 2));
    expect(await state.read()).not.toEqual(kept);
    await state.restore();
    expect(await state.read()).toEqual(kept);
    // The same step from the same state gives the same state.
    await stepAndRead(program, feedsFor(MLP, 2));
    const after = await state.read();
    await state.restore();
    await stepAndRead(program, feedsFor(MLP, 2));
    expect(await state.read()).toEqual(after);
    program.dispose();
    state.dispose();
  });

  it('validates on the state of the training program', async () => {
    const losses: number[] = [];
    for (const executor of [reference, each(name)]) {
      const training = trainingOf(CNN);
      const { state, program } = await open(executor, training);
      await stepAndRead(program, feedsFor(CNN, 1));
      const validation = buildValidationGraph(forwardOf(CNN), {
        task: 'classification',
        loss: 'softmax-ce',
        batchSize: CNN.batchSize,
      });
      const validate = await executor.compile(validation.graph, state, {
        updates: new Map(),
        outputs: validation.outputs,
      });
      const feeds = feedsFor(CNN, 9);
      const result = await stepAndRead(validate, feeds);
      losses.push(result.get('loss_numerator')?.[0] ?? NaN);
      expect(result.get('logits')).toHaveLength(CNN.batchSize * CNN.classes);
      validate.dispose();
      program.dispose();
      state.dispose();
    }
    expect(losses[1]).toBeCloseTo(losses[0] ?? NaN, 3);
  });

  it('does not see what the caller writes into its arrays after the call', async () => {
    const training = trainingOf(MLP);
    const { state, program } = await open(each(name), training);
    const clean = await stepAndRead(program, feedsFor(MLP, 1));
    await state.write(training.initialState);
    const feeds = feedsFor(MLP, 1);
    const ticket = program.step(feeds);
    for (const data of feeds.values()) data.fill(0);
    expect((await ticket.read()).get('loss_numerator')).toEqual(clean.get('loss_numerator'));
    program.dispose();
    state.dispose();
  });

  it('names the feed that is missing or of the wrong length', async () => {
    const training = trainingOf(MLP);
    const { state, program } = await open(each(name), training);
    const feeds = feedsFor(MLP, 1);
    feeds.set('features', new Float32Array(5));
    expect(() => program.step(feeds)).toThrow(/"features" should be fed 96 numbers/);
    feeds.delete('features');
    expect(() => program.step(feeds)).toThrow(/needs "features"/);
    program.dispose();
    state.dispose();
  });
});

describe('webgpu', () => {
  it('leaves no tensor behind, whether tickets are read or not', async () => {
    const start = webgpu.memory.buffers;
    const training = trainingOf(CNN);
    const { state, program } = await open(webgpu, training);
    await stepAndRead(program, feedsFor(CNN, 1));
    const first = webgpu.memory.buffers;
    for (let step = 2; step < 6; step++) await stepAndRead(program, feedsFor(CNN, step));
    expect(webgpu.memory.buffers).toBe(first);
    program.step(feedsFor(CNN, 6));
    program.dispose();
    state.dispose();
    expect(webgpu.memory.buffers).toBe(start);
  });

  it('refuses to learn from a label outside the classes', async () => {
    const training = trainingOf(MLP);
    const { state, program } = await open(webgpu, training);
    const before = await state.read();
    const feeds = feedsFor(MLP, 1);
    feeds.get('labels')?.fill(MLP.classes, 2, 3);
    const result = await stepAndRead(program, feeds);
    expect(result.get('loss_numerator')).toEqual(Float32Array.of(NaN));
    expect(await state.read()).toEqual(before);
    program.dispose();
    state.dispose();
  });

  it('tells when its device is lost', async () => {
    const executor = await createWebgpuExecutor();
    const training = trainingOf(MLP);
    const { program } = await open(executor, training);
    // As a crashed driver would: nobody called close().
    executor.gpu.device.destroy();
    expect(await executor.lost).toMatch(/stopped answering/);
    expect(() => program.step(feedsFor(MLP, 1))).toThrow(/stopped answering/);
  });
});
