/** A step whose kernels are timed is the step it would have been, on every executor that can. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Executor, Program } from '../../../src/engine/executor';
import { createWasmExecutor } from '../../../src/engine/wasm/executor';
import { createWebgpuExecutor } from '../../../src/engine/webgpu/executor';
import { mergeSteps } from '../../../src/profiling/merge';
import { totals } from '../../../src/profiling/sums';
import { memoryTimeline } from '../../../src/profiling/memory';
import type { StepProfile } from '../../../src/protocol/profile';
import { ADAMW, CNN, feedsFor, forwardOf, open, trainingOf } from './support';

const executors = new Map<string, Executor>();
const STEPS = 4;

beforeAll(async () => {
  executors.set('webgpu', await createWebgpuExecutor());
  executors.set('wasm', await createWasmExecutor());
});
afterAll(() => {
  for (const executor of executors.values()) executor.dispose();
});

function find(name: string): Executor {
  const executor = executors.get(name);
  if (!executor) throw new Error(`There is no executor ${name}.`);
  return executor;
}

describe.each(['webgpu', 'wasm'])('profiled steps on %s', (name) => {
  /** Every second step is profiled, or none. */
  async function learn(profiled: boolean) {
    const { program, state } = await open(find(name), trainingOf(CNN, ADAMW));
    const profiles: StepProfile[] = [];
    const losses: unknown[] = [];
    for (let step = 1; step <= STEPS; step++) {
      const feeds = feedsFor(CNN, step);
      const done = profiled && step % 2 === 0 ? await take(program, feeds) : null;
      if (done) profiles.push(done.profile);
      losses.push(await (done?.ticket ?? program.step(feeds)).read());
    }
    const end = await state.read();
    program.dispose();
    state.dispose();
    return { losses, end, profiles };
  }

  function take(program: Program, feeds: Parameters<Program['step']>[0]) {
    const taken = program.profile?.(feeds);
    if (!taken) throw new Error(`${name} cannot profile.`);
    return taken;
  }

  it('change nothing, and tell of every layer', async () => {
    const plain = await learn(false);
    const { losses, end, profiles } = await learn(true);
    expect(losses).toEqual(plain.losses);
    expect(end).toEqual(plain.end);
    expect(profiles).toHaveLength(STEPS / 2);
    const step = mergeSteps(profiles);
    const origins = new Set(step.kernels.flatMap((kernel) => kernel.origins ?? kernel.nodes));
    for (const { name: node, op } of forwardOf(CNN).nodes) {
      if (['Conv', 'BatchNormalization', 'Gemm', 'MaxPool'].includes(op)) {
        expect(origins).toContain(node);
      }
    }
    const { phases, bytes } = totals(step);
    for (const time of Object.values(phases)) expect(time).toBeGreaterThan(0);
    expect(bytes).toBeGreaterThan(0);
    expect(step.counts.dispatches).toBe(step.kernels.length);
  });

  it('tell of memory that holds the State whole, and that is in use when it is written', async () => {
    const { profiles } = await learn(true);
    const [step] = profiles;
    if (!step) throw new Error('No step was profiled.');
    const { specs } = { specs: trainingOf(CNN, ADAMW).stateSpecs };
    const stateBytes = specs.reduce(
      (sum, { dims }) => sum + 4 * dims.reduce((a, b) => a * b, 1),
      0,
    );
    const { kinds, peak } = memoryTimeline(step);
    for (const bytes of kinds.state) expect(bytes).toBeGreaterThanOrEqual(stateBytes);
    expect(peak.bytes).toBeGreaterThan(stateBytes);
    for (const { from, to, bytes } of step.memory) {
      expect(from).toBeGreaterThanOrEqual(0);
      expect(to).toBeLessThan(step.kernels.length);
      expect(from).toBeLessThanOrEqual(to);
      expect(bytes).toBeGreaterThan(0);
    }
  });
});
