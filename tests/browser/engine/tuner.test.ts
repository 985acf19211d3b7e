/** The tuner: what it finds is one of the variants, is remembered, and changes nothing but speed. */
import { afterAll, expect, it } from 'vitest';
import { createWebgpuExecutor } from '../../../src/engine/webgpu/executor';
import type { WebgpuExecutor } from '../../../src/engine/webgpu/executor';
import { keyOf } from '../../../src/engine/webgpu/tuner';
import type { TuningMemory, Tunings } from '../../../src/engine/webgpu/tuner';
import { ADAM, distance, feedsFor, MLP, trainingOf } from './support';
import type { Model } from './support';

const opened: WebgpuExecutor[] = [];
afterAll(() => {
  for (const executor of opened) executor.dispose();
});

class Kept implements TuningMemory {
  readonly devices = new Map<string, Tunings>();
  kept = 0;

  async recall(device: string): Promise<Tunings> {
    return this.devices.get(device) ?? new Map();
  }

  async keep(device: string, tunings: Tunings): Promise<void> {
    this.kept++;
    this.devices.set(device, new Map(tunings));
  }
}

async function open(tuningMemory: TuningMemory): Promise<WebgpuExecutor> {
  const executor = await createWebgpuExecutor({ tuningMemory });
  opened.push(executor);
  return executor;
}

const MODEL: Model = { ...MLP, batchSize: 32 };

async function firstStep(executor: WebgpuExecutor, plan: 'fixed' | 'tuned') {
  const training = trainingOf(MODEL, ADAM);
  const state = await executor.createState(training.stateSpecs);
  await state.write(training.initialState);
  const program = await executor.compile(training.graph, state, { ...training, plan });
  const results = await program.step(feedsFor(MODEL, 1)).read();
  const { planId } = program;
  const { choices } = program.plan;
  program.dispose();
  state.dispose();
  return { results, planId, choices };
}

it(
  'times every variant once, remembers, and gives the same results',
  { timeout: 60_000 },
  async () => {
    const memory = new Kept();
    const executor = await open(memory);
    const buffers = executor.memory.buffers;
    const fixed = await firstStep(executor, 'fixed');
    const tuned = await firstStep(executor, 'tuned');
    expect(memory.kept).toBe(1);
    const [learned = new Map<string, string>()] = memory.devices.values();
    const several = fixed.choices.filter(({ variants }) => variants.length > 1);
    expect(several.length).toBeGreaterThan(3);
    for (const choice of several) {
      expect(choice.variants, keyOf(choice)).toContain(learned.get(keyOf(choice)));
    }
    for (const choice of tuned.choices) {
      if (choice.variants.length > 1) expect(choice.chosen).toBe(learned.get(keyOf(choice)));
    }
    expect(tuned.planId).toMatch(/\/tuned-[0-9a-f]{8}$/);
    for (const [name, values] of fixed.results) {
      expect(distance(tuned.results.get(name), values), name).toBeLessThan(1e-4);
    }
    // A second graph of the same sizes, and a second page, measure nothing again.
    const again = await firstStep(executor, 'tuned');
    expect(again.planId).toBe(tuned.planId);
    const other = await firstStep(await open(memory), 'tuned');
    expect(other.planId).toBe(tuned.planId);
    expect(memory.kept).toBe(1);
    expect(other.results).toEqual(tuned.results);
    expect(executor.memory.buffers - buffers).toBeLessThanOrEqual(2);
  },
);
