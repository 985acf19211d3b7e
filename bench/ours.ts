/** Terrarium's own executors on the graph that training really runs. */
import type { Executor } from '../src/engine/executor';
import { buildTrainingGraph } from '../src/training/training-graph';
import { BETA1, BETA2, EPSILON, LEARNING_RATE } from './task';
import type { Contender, Task } from './task';

async function executorOf(backend: 'webgpu' | 'wasm'): Promise<Executor> {
  if (backend === 'webgpu') {
    const { createWebgpuExecutor } = await import('../src/engine/webgpu/executor');
    return createWebgpuExecutor();
  }
  const { createWasmExecutor } = await import('../src/engine/wasm/executor');
  return createWasmExecutor();
}

export async function ours(task: Task, backend: 'webgpu' | 'wasm'): Promise<Contender> {
  const executor = await executorOf(backend);
  const training = buildTrainingGraph(task.graph, {
    task: 'classification',
    loss: 'softmax-ce',
    batchSize: task.batch,
    optimiser: { kind: 'adam', beta1: BETA1, beta2: BETA2, epsilon: EPSILON },
  });
  const state = await executor.createState(training.stateSpecs);
  await state.write(training.initialState);
  const { updates, outputs } = training;
  const program = await executor.compile(training.graph, state, { updates, outputs });
  const feeds = new Map<string, Float32Array | Int32Array>([
    ['features', task.features],
    ['labels', task.labels],
    ['sample_weight', new Float32Array(task.batch).fill(1)],
    ['learning_rate', Float32Array.of(LEARNING_RATE)],
    ['clip_norm', Float32Array.of(0)],
  ]);
  let count = 0;
  return {
    version: executor.planId,
    async step() {
      feeds.set('step', Float32Array.of(++count));
      const result = await program.step(feeds).read();
      return (
        (result.get('loss_numerator')?.[0] ?? NaN) / (result.get('loss_denominator')?.[0] ?? NaN)
      );
    },
  };
}
