/** Terrarium's own executors, on the graph that training really runs. */
import type { Executor, Feed, Program, StateSpec } from '../src/engine/executor';
import type { Graph } from '../src/onnx/graph';
import type { StepProfile } from '../src/protocol/profile';
import { batchOf, feedsOf, trainingOf } from './models';
import type { Model } from './models';
import { operatorGraph } from './tasks';
import type { Backend, Contender, OperatorTask } from './tasks';

async function executorOf(backend: Backend): Promise<Executor> {
  if (backend === 'webgpu') {
    const { createWebgpuExecutor } = await import('../src/engine/webgpu/executor');
    return createWebgpuExecutor();
  }
  const { createWasmExecutor } = await import('../src/engine/wasm/executor');
  return createWasmExecutor();
}

interface Wanted {
  readonly graph: Graph;
  readonly specs: readonly StateSpec[];
  readonly values: ReadonlyMap<string, Float32Array>;
  readonly updates: ReadonlyMap<string, string>;
  readonly outputs: readonly string[];
}

async function compiled(executor: Executor, wanted: Wanted): Promise<Program> {
  const { graph, specs, values, updates, outputs } = wanted;
  const state = await executor.createState(specs);
  await state.write(values);
  return executor.compile(graph, state, { updates, outputs });
}

function compiledModel(executor: Executor, model: Model): Promise<Program> {
  const { graph, stateSpecs: specs, initialState: values, updates } = trainingOf(model);
  const outputs = ['loss_numerator', 'loss_denominator'];
  return compiled(executor, { graph, specs, values, updates, outputs });
}

/** Steps until caches are warm and clocks are up. */
const WARM_UP = 5;

/** Some later step of a model, kernel by kernel. */
export async function profileModel(model: Model, backend: Backend): Promise<StepProfile> {
  const executor = await executorOf(backend);
  const program = await compiledModel(executor, model);
  const batch = batchOf(model);
  for (let step = 1; step <= WARM_UP; step++)
    await program.step(feedsOf(model, step, batch)).read();
  if (!program.profile) throw new Error(`The ${backend} executor cannot time its kernels here.`);
  const { ticket, profile } = await program.profile(feedsOf(model, WARM_UP + 1, batch));
  await ticket.read();
  return profile;
}

export async function oursModel(model: Model, backend: Backend): Promise<Contender> {
  const executor = await executorOf(backend);
  const program = await compiledModel(executor, model);
  const feeds = feedsOf(model, 1, batchOf(model));
  const step: Feed = Float32Array.of(0);
  feeds.set('step', step);
  return {
    version: executor.planId,
    async run(times) {
      let loss = NaN;
      for (let index = 0; index < times; index++) {
        step[0] = (step[0] ?? 0) + 1;
        const result = await program.step(feeds).read();
        const [numerator = NaN] = result.get('loss_numerator') ?? [];
        const [denominator = NaN] = result.get('loss_denominator') ?? [];
        loss = numerator / denominator;
      }
      return loss;
    },
  };
}

export async function oursOperator(task: OperatorTask, backend: Backend): Promise<Contender> {
  const executor = await executorOf(backend);
  const { graph, outputs } = operatorGraph(task);
  // Operands live on the device, like those of the others.
  const program = await compiled(executor, {
    graph,
    specs: task.inputs.map(({ name, dims }) => ({ name, dims })),
    values: new Map(task.inputs.map(({ name, data }) => [name, data])),
    updates: new Map(),
    outputs,
  });
  return {
    version: executor.planId,
    async run(times) {
      let sum = NaN;
      for (let index = 0; index < times; index++) {
        const result = await program.step(new Map()).read();
        sum = outputs.reduce((all, name) => all + (result.get(name)?.[0] ?? NaN), 0);
      }
      return sum;
    },
  };
}
