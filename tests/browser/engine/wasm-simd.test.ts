/** The emitted kernels in the browser: two threads, fused multiply-add, whole steps, and what is left to onnxruntime. */
import { afterAll, describe, expect, it } from 'vitest';
import { trainingOf as gptTraining, batchOf, feedsOf } from '../../../bench/models';
import type { Model } from '../../../bench/models';
import { createReferenceExecutor } from '../../../src/engine/reference/executor';
import { runGraph } from '../../../src/engine/reference/run-graph';
import { createWasmExecutor } from '../../../src/engine/wasm/executor';
import type { WasmExecutor } from '../../../src/engine/wasm/executor';
import { GraphBuilder } from '../../../src/onnx/builder';
import { callGraph } from '../../support/calls';
import { largestError, openEngine, runSimd } from '../../support/simd';
import { SIMD_CALLS } from '../../support/simd-calls';
import { ADAMW, CNN, CNN_AVERAGE, distance, MLP, open, train } from './support';

const LION = { kind: 'lion', beta1: 0.9, beta2: 0.99, weightDecay: 0.1 } as const;

const GPT: Model = {
  title: 'small',
  kind: 'gpt',
  batch: 2,
  layers: 2,
  width: 20,
  heads: 2,
  context: 37,
  vocabulary: 19,
  optimiser: ADAMW,
  learningRate: 0.01,
  clipNorm: 1,
};

const executors: WasmExecutor[] = [];
async function executor(threads: number): Promise<WasmExecutor> {
  const made = await createWasmExecutor(threads);
  executors.push(made);
  return made;
}
afterAll(() => {
  for (const made of executors) made.dispose();
});

it('computes every kernel on odd lengths with two threads as the reference does', async () => {
  const engine = openEngine(2);
  for (const [name, call] of SIMD_CALLS) {
    const { graph, feeds } = callGraph(call);
    const found = await runSimd(engine, graph, feeds);
    expect(found, name).toBeDefined();
    for (const [output, { data }] of runGraph(graph, feeds)) {
      expect(largestError(found?.get(output), data), `${name} ${output}`).toBeLessThan(5e-6);
    }
  }
  engine.pool.dispose();
});

describe.each([MLP, CNN, CNN_AVERAGE])('$name', (model) => {
  it('trains bit-equal on one thread and on two, and as onnxruntime and the reference do', async () => {
    const one = await train(await executor(1), model, 6);
    const two = await train(await executor(2), model, 6);
    expect(two.losses).toEqual(one.losses);
    for (const [entry, values] of one.state) expect(two.state.get(entry), entry).toEqual(values);
    const runtime = await createWasmExecutor(1, { runtimeOnly: true });
    const oracle = await train(runtime, model, 1);
    const reference = await train(createReferenceExecutor(), model, 1);
    const first = await train(await executor(2), model, 1);
    for (const expected of [oracle, reference]) {
      for (const [output, values] of expected.first) {
        expect(distance(first.first.get(output), values), output).toBeLessThan(1e-4);
      }
      for (const [entry, values] of expected.state) {
        expect(distance(first.state.get(entry), values), entry).toBeLessThan(2e-3);
      }
    }
    runtime.dispose();
  });
});

it('trains a transformer as the reference does, the same with any number of threads', async () => {
  const training = gptTraining(GPT, { withGradients: true });
  const feeds = feedsOf(GPT, 1, batchOf(GPT));
  const run = async (made: WasmExecutor | ReturnType<typeof createReferenceExecutor>) => {
    const { state, program } = await open(made, training);
    const outputs = await program.step(feeds).read();
    const values = await state.read();
    const { planId } = program;
    program.dispose();
    state.dispose();
    return { outputs, values, planId };
  };
  const expected = await run(createReferenceExecutor());
  const two = await run(await executor(2));
  const three = await run(await executor(3));
  expect(two.planId).toMatch(/^wasm\/simd/);
  expect(three.values).toEqual(two.values);
  // The gradient of a key's bias is 0 but for rounding, so errors are measured against all gradients together.
  const norm = expected.outputs.get('grad_norm')?.[0] ?? NaN;
  for (const [name, values] of expected.outputs) {
    const found = two.outputs.get(name) ?? new Float32Array();
    const error = values.reduce((sum, value, i) => sum + (value - (found[i] ?? NaN)) ** 2, 0);
    const size = Math.max(norm, ...values.map(Math.abs));
    expect(Math.sqrt(error) / size, name).toBeLessThan(1e-5);
  }
});

it('updates by Lion in place as the reference does', async () => {
  const found = await train(await executor(2), MLP, 4, LION);
  const expected = await train(createReferenceExecutor(), MLP, 4, LION);
  for (const [entry, values] of expected.state) {
    expect(distance(found.state.get(entry), values), entry).toBeLessThan(2e-2);
  }
});

it('says which programs are emitted and which run on onnxruntime', async () => {
  const made = await executor(1);
  const state = await made.createState([]);
  const graphOf = (op: string) => {
    const builder = new GraphBuilder('one');
    builder.node(op, [builder.input('x', 'float32', [3])], {}, { outputs: ['y'] });
    builder.output('y', 'float32', [3]);
    return builder.build();
  };
  const options = { updates: new Map<string, string>(), outputs: ['y'] };
  const x = Float32Array.of(0.5, 0, -0.25);
  for (const [op, id, compute] of [
    ['Tanh', /^wasm\/simd/, Math.tanh],
    ['Acos', /^wasm\/ort/, Math.acos],
  ] as const) {
    const program = await made.compile(graphOf(op), state, options);
    expect(program.planId).toMatch(id);
    const found = (await program.step(new Map([['x', x]])).read()).get('y');
    expect(largestError(found, Array.from(x, compute))).toBeLessThan(1e-6);
    program.dispose();
  }
  state.dispose();
});
