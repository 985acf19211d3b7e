/** A profiled step of the emitted kernels, on one thread: the same bits, every node somewhere, memory that adds up. */
import { describe, expect, it } from 'vitest';
import type { CompileOptions, Program } from '../../../src/engine/executor';
import { compileSimd } from '../../../src/engine/wasm/simd/program';
import { WasmState } from '../../../src/engine/wasm/state';
import { withHostMasks } from '../../../src/engine/host-masks';
import { buildTrainingGraph } from '../../../src/training/training-graph';
import {
  goldenFeeds,
  goldenForward,
  goldenOptions,
  goldenTrainingCases,
} from '../../support/golden';
import { openEngine } from '../../support/simd';

const engine = openEngine();

async function open(name: string) {
  const golden = goldenTrainingCases().find((one) => one.name === name);
  if (!golden) throw new Error(`There is no golden case ${name}.`);
  const training = buildTrainingGraph(goldenForward(golden), goldenOptions(golden));
  const state = new WasmState(training.stateSpecs, engine.memory);
  await state.write(training.initialState);
  const options: CompileOptions = training;
  const masked = withHostMasks(training.graph);
  const program: Program = masked.around(await compileSimd(masked.graph, state, options, engine));
  return { golden, training, state, program };
}

async function profiled(name: string) {
  const [plain, watched] = [await open(name), await open(name)];
  const feeds = goldenFeeds(plain.golden, 0);
  const expected = await plain.program.step(feeds).read();
  const step = await watched.program.profile?.(feeds);
  if (!step) throw new Error('The emitted program does not profile.');
  return { plain, watched, expected, ...step };
}

describe.each(['mlp adam', 'cnn adamw'])('a profiled step of %s', (name) => {
  it('is the same step bit for bit', async () => {
    const { plain, watched, expected, ticket } = await profiled(name);
    expect(await ticket.read()).toEqual(expected);
    expect(await watched.state.read()).toEqual(await plain.state.read());
  });

  it('names every weight’s layer, and its phases in their order', async () => {
    const { profile, plain } = await profiled(name);
    const origins = new Set(profile.kernels.flatMap((kernel) => kernel.origins ?? []));
    const forward = goldenForward(plain.golden);
    for (const node of forward.nodes) {
      if (['Gemm', 'Conv', 'BatchNormalization'].includes(node.op))
        expect(origins).toContain(node.name);
    }
    const phases = profile.kernels.map(({ phase }) => phase);
    expect(new Set(phases)).toEqual(new Set(['forward', 'backward', 'update']));
    expect(phases.indexOf('forward')).toBeLessThan(phases.indexOf('backward'));
    expect(phases.indexOf('backward')).toBeLessThan(phases.lastIndexOf('update'));
    expect(profile.counts.dispatches).toBe(profile.kernels.length);
  });

  it('has values in between that never lie in one place at one time, inside the arena', async () => {
    const { profile, plain } = await profiled(name);
    const arena = profile.memory.filter(({ offset }) => offset !== null);
    expect(arena.length).toBeGreaterThan(3);
    for (const [index, a] of arena.entries()) {
      const start = a.offset ?? 0;
      expect(start + a.bytes).toBeLessThanOrEqual(profile.arenaBytes);
      for (const b of arena.slice(index + 1)) {
        const apart = a.to < b.from || b.to < a.from;
        const beside = start + a.bytes <= (b.offset ?? 0) || (b.offset ?? 0) + b.bytes <= start;
        expect(apart || beside, `${a.name} and ${b.name}`).toBe(true);
      }
    }
    const state = profile.memory.filter(({ kind }) => kind === 'state');
    expect(state.map((one) => one.name)).toEqual(
      plain.training.stateSpecs.map((spec) => spec.name),
    );
    const gradients = profile.memory.filter(({ kind }) => kind === 'gradient');
    expect(gradients).toHaveLength(plain.training.weights.length);
  });
});
