/**
 * Each training-only operator: its kernel on webgpu says what its body says on wasm, with the runtime's graph
 * optimisation off and on, and what the reference says.
 */
import { InferenceSession, Tensor as OrtTensor } from 'onnxruntime-web/wasm';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { runGraph } from '../../../src/engine/reference/run-graph';
import { setUpOrt } from '../../../src/engine/wasm/ort';
import { createWebgpuExecutor } from '../../../src/engine/webgpu/executor';
import type { WebgpuExecutor } from '../../../src/engine/webgpu/executor';
import { loweringOf } from '../../../src/engine/plan/lowerings';
import type { Graph, Tensor } from '../../../src/onnx/graph';
import { writeModel } from '../../../src/onnx/writer';
import { expandTrainingOps } from '../../../src/ops/expand-graph';
import { relativeError } from '../../support/composites';
import { trainingCalls } from '../../support/training-calls';

let webgpu: WebgpuExecutor;
beforeAll(async () => {
  setUpOrt(1);
  webgpu = await createWebgpuExecutor();
});
afterAll(() => webgpu.dispose());

const calls = trainingCalls();

async function onWasm(
  graph: Graph,
  feeds: ReadonlyMap<string, Tensor>,
  graphOptimizationLevel: 'disabled' | 'all',
): Promise<Map<string, number[]>> {
  const session = await InferenceSession.create(writeModel(graph), {
    executionProviders: ['wasm'],
    graphOptimizationLevel,
    logSeverityLevel: 3,
  });
  try {
    const tensors = [...feeds].map(([name, { dtype, dims, data }]) => [
      name,
      // The constructor's overloads each take one element type; ours are checked by writeModel.
      new OrtTensor(dtype as 'float32', data as Float32Array, [...dims]),
    ]);
    const results = await session.run(Object.fromEntries(tensors) as Record<string, OrtTensor>);
    return new Map(
      Object.entries(results).map(([name, { data }]) => [name, Array.from(data as Float32Array)]),
    );
  } finally {
    await session.release();
  }
}

describe.each([...new Set(calls.map(({ op }) => op))])('%s', (op) => {
  it('kernel and body agree', async () => {
    for (const { graph, feeds } of calls.filter((call) => call.op === op)) {
      // Without a kernel of its own the body would be compared with itself.
      expect(graph.nodes.every((node) => loweringOf(node) !== undefined)).toBe(true);
      const expected = runGraph(graph, feeds);
      const kernel = await webgpu.evaluate(graph, feeds);
      const body = expandTrainingOps(graph);
      const plain = await onWasm(body, feeds, 'disabled');
      const optimised = await onWasm(body, feeds, 'all');
      for (const [name, { data }] of expected) {
        const numbers = Array.from(kernel.get(name)?.data ?? [], Number);
        expect(relativeError(numbers, Array.from(data)), `${name} on webgpu`).toBeLessThan(1e-5);
        for (const found of [plain, optimised]) {
          expect(relativeError(numbers, found.get(name) ?? []), `${name}`).toBeLessThan(1e-5);
        }
      }
    }
  });
});
