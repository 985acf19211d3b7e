/** Roles of nodes, and what the reference executor tells of a step: phases, origins, bytes and lifetimes. */
import { describe, expect, it } from 'vitest';
import { createReferenceExecutor } from '../../../src/engine/reference/executor';
import { rolesOf } from '../../../src/engine/roles';
import { expandTrainingOps } from '../../../src/ops/expand-graph';
import { buildTrainingGraph, buildValidationGraph } from '../../../src/training/training-graph';
import {
  goldenFeeds,
  goldenForward,
  goldenOptions,
  goldenTrainingCases,
} from '../../support/golden';

function caseNamed(name: string) {
  const found = goldenTrainingCases().find((golden) => golden.name === name);
  if (!found) throw new Error(`There is no golden case ${name}.`);
  const forward = goldenForward(found);
  return { found, forward, training: buildTrainingGraph(forward, goldenOptions(found)) };
}

async function profiled(name: string) {
  const { found, forward, training } = caseNamed(name);
  const executor = createReferenceExecutor();
  const open = async () => {
    const state = await executor.createState(training.stateSpecs);
    await state.write(training.initialState);
    return { state, program: await executor.compile(training.graph, state, training) };
  };
  const [plain, watched] = [await open(), await open()];
  const expected = await plain.program.step(goldenFeeds(found, 0)).read();
  const step = await watched.program.profile?.(goldenFeeds(found, 0));
  if (!step) throw new Error('The reference executor does not profile.');
  return { training, forward, plain, watched, expected, ...step };
}

describe('roles of nodes', () => {
  it('call forward what the loss needs, update what the optimiser makes, and the rest backward', () => {
    const { training, forward } = caseNamed('cnn adamw');
    const roles = rolesOf(training.graph);
    const phase = (name: string | undefined) => roles.get(name ?? '')?.phase;
    for (const { name } of forward.nodes) if (roles.has(name)) expect(phase(name)).toBe('forward');
    expect(phase(training.graph.nodes.at(-1)?.name)).toBe('update');
    const convolutions = forward.nodes.filter(({ op }) => op === 'Conv');
    const gradients = training.graph.nodes.filter(({ op }) => op === 'ConvGradWeight');
    expect(gradients.map(({ origin }) => origin)).toEqual(
      convolutions.map(({ name }) => name).reverse(),
    );
    for (const { name } of gradients) expect(phase(name)).toBe('backward');
    // Running statistics are replaced, and nothing else reads what replaces them.
    const statistics = training.graph.nodes.find(({ outputs }) =>
      outputs.some((name) => name.endsWith('running_var/next')),
    );
    expect(phase(statistics?.name)).toBe('update');
  });

  it('keep the origin through expansions', () => {
    const { training, forward } = caseNamed('cnn adamw');
    const expanded = expandTrainingOps(training.graph);
    const roles = rolesOf(expanded);
    expect([...roles.keys()]).toEqual(expanded.nodes.map(({ name }) => name));
    const known = new Set(training.graph.nodes.map(({ name }) => name));
    for (const { name } of forward.nodes) known.add(name);
    for (const { origin } of roles.values()) expect(known).toContain(origin);
    const counted = [...roles.values()].filter(({ origin }) => origin === 'norm_0');
    expect(new Set(counted.map(({ phase }) => phase))).toEqual(
      new Set(['forward', 'backward', 'update']),
    );
  });

  it('find nothing but a forward pass in a validation graph', () => {
    const { found, forward } = caseNamed('cnn adamw');
    const { graph } = buildValidationGraph(forward, goldenOptions(found));
    expect(new Set([...rolesOf(graph).values()].map(({ phase }) => phase))).toEqual(
      new Set(['forward']),
    );
  });
});

describe('a profiled step of the reference executor', () => {
  it('is the same step bit for bit', async () => {
    const { plain, watched, expected, ticket } = await profiled('cnn adamw');
    expect(await ticket.read()).toEqual(expected);
    expect(await watched.state.read()).toEqual(await plain.state.read());
  });

  it('times every node once, within the time of the step', async () => {
    const { training, profile } = await profiled('cnn adamw');
    expect(profile.kernels.map(({ nodes }) => nodes)).toEqual(
      training.graph.nodes.map(({ name }) => [name]),
    );
    expect(profile.counts.dispatches).toBe(training.graph.nodes.length);
    const timed = profile.kernels.reduce((total, { micros }) => total + micros, 0);
    expect(timed).toBeGreaterThan(0);
    expect(timed).toBeLessThanOrEqual(profile.stepMicros);
  });

  it('counts the bytes of what a node reads and writes, in float64', async () => {
    const { training, profile } = await profiled('mlp adam');
    const gemm = profile.kernels.find(
      ({ origins }) => origins?.[0] === training.graph.nodes[0]?.name,
    );
    const { dims = [] } = training.graph.inputs.find(({ name }) => name === 'features') ?? {};
    const [rows = 0, columns = 0] = dims as number[];
    const weight = training.stateSpecs.find(({ dims: own }) => own.length === 2);
    const [out = 0] = weight?.dims.filter((length) => length !== columns) ?? [];
    expect(gemm?.label).toBe('Gemm');
    expect(gemm?.bytesRead).toBe(8 * (rows * columns + out * columns + out));
    expect(gemm?.bytesWritten).toBe(8 * rows * out);
  });

  it('says what is alive when, and of which kind', async () => {
    const { training, profile } = await profiled('mlp adam');
    const last = profile.kernels.length - 1;
    const state = profile.memory.filter(
      ({ kind, name }) => kind === 'state' && !name.includes(',') && !name.endsWith('/next'),
    );
    expect(state.map(({ name }) => name)).toEqual(training.stateSpecs.map(({ name }) => name));
    for (const { from, to } of state) expect([from, to]).toEqual([0, last]);
    const gradients = profile.memory.filter(({ kind }) => kind === 'gradient');
    expect(gradients).toHaveLength(training.weights.length);
    for (const { to } of gradients) expect(to).toBe(last);
    expect(profile.memory.find(({ name }) => name === 'features')).toMatchObject({
      kind: 'feed',
      from: 0,
    });
    const first = training.graph.nodes[0]?.outputs[0];
    const activation = profile.memory.find(({ name }) => name === first);
    const readers = training.graph.nodes.flatMap(({ inputs }, index) =>
      inputs.includes(first ?? '') ? [index] : [],
    );
    expect(activation).toMatchObject({ kind: 'activation', from: 0, to: Math.max(...readers) });
    for (const { from, to } of profile.memory) expect(from).toBeLessThanOrEqual(to);
  });
});
