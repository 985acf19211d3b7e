/** The operators of a training step as steps of the processor's executor, against the reference. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Executor } from '../../../src/engine/executor';
import { runGraph } from '../../../src/engine/reference/run-graph';
import { createWasmExecutor } from '../../../src/engine/wasm/executor';
import { relativeError } from '../../support/composites';
import { trainingCalls } from '../../support/training-calls';
import type { TrainingCall } from '../../support/training-calls';

/** A Program is fed float32 and int32 only. */
const feedable = ({ graph }: TrainingCall) =>
  graph.inputs.every(({ dtype }) => dtype === 'float32' || dtype === 'int32');

const calls = trainingCalls().filter(feedable);
const ops = [...new Set(calls.map(({ op }) => op))].sort();

let wasm: Executor;
beforeAll(async () => {
  wasm = await createWasmExecutor(1);
});
afterAll(() => {
  wasm.dispose();
});

describe.each(ops)('%s', (op) => {
  it('is what the reference says', async () => {
    const state = await wasm.createState([]);
    for (const { graph, feeds } of calls.filter((call) => call.op === op)) {
      const outputs = graph.outputs.map(({ name }) => name);
      const program = await wasm.compile(graph, state, { updates: new Map(), outputs });
      const fed = [...feeds].map(
        ([name, { data }]) => [name, data as Float32Array | Int32Array] as const,
      );
      const found = await program.step(new Map(fed)).read();
      for (const [name, value] of runGraph(graph, feeds)) {
        const error = relativeError(found.get(name) ?? [], Array.from(value.data));
        expect(error, `${name} of ${graph.name}`).toBeLessThan(1e-4);
      }
      program.dispose();
    }
    state.dispose();
  });
});
