/** Runs a Graph on onnxruntime-node, the oracle of what we export. */
import * as ort from 'onnxruntime-node';
import type { Graph, Tensor } from '../../src/onnx/graph';
import { writeModel } from '../../src/onnx/writer';

export type Optimisation = 'disabled' | 'all';

/** Results as plain numbers, by output name. */
export async function runOnnxRuntime(
  graph: Graph,
  feeds: ReadonlyMap<string, Tensor>,
  graphOptimizationLevel: Optimisation = 'all',
): Promise<Map<string, { dims: readonly number[]; data: number[] }>> {
  const session = await ort.InferenceSession.create(writeModel(graph), {
    graphOptimizationLevel,
    intraOpNumThreads: 1,
    logSeverityLevel: 3,
  });
  try {
    const tensors: Record<string, ort.Tensor> = {};
    for (const [name, { dtype, dims, data }] of feeds) {
      // The constructor's overloads each take one element type; ours are checked by writeModel.
      tensors[name] = new ort.Tensor(dtype as 'float32', data as Float32Array, [...dims]);
    }
    const results = await session.run(tensors);
    return new Map(
      Object.entries(results).map(([name, tensor]) => [
        name,
        {
          dims: tensor.dims,
          data: Array.from(tensor.data as Iterable<number | bigint | boolean>, Number),
        },
      ]),
    );
  } finally {
    await session.release();
  }
}
