/** Reductions of every form against the reference: as on a processor, and as on a GPU with whole workgroups. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { normals } from '../../../src/core/philox';
import { sizeOf } from '../../../src/core/dtype';
import { openDevice } from '../../../src/engine/device';
import type { Executor } from '../../../src/engine/executor';
import { runGraph } from '../../../src/engine/reference/run-graph';
import { WebgpuExecutor } from '../../../src/engine/webgpu/executor';
import { GraphBuilder } from '../../../src/onnx/builder';
import { attr } from '../../../src/onnx/graph';
import { distance } from './support';

const SHAPES: readonly (readonly [readonly number[], readonly number[]])[] = [
  [[70, 300], [0]],
  [[70, 300], [1]],
  [
    [5, 6, 700],
    [0, 2],
  ],
  [[100, 3, 41], [1]],
  [[3, 1, 5], [1]],
  [[1025, 33], [0]],
  [[257, 129], [1]],
  [[70001], [0]],
  [[2, 40000], [1]],
  [
    [20, 7, 31, 33],
    [0, 2, 3],
  ],
];
const OPS = ['ReduceSum', 'ReduceMax', 'ReduceMin', 'ReduceL2', 'ReduceProd', 'ReduceLogSum'];

let executors: Executor[];
beforeAll(async () => {
  const gpu = await openDevice();
  if (gpu === null) throw new Error('no WebGPU');
  executors = [new WebgpuExecutor(gpu), new WebgpuExecutor({ ...gpu, software: false })];
});
afterAll(() => {
  for (const executor of executors) executor.dispose();
});

describe.each([
  [0, 'as on a processor'],
  [1, 'as on a GPU'],
] as const)('executor %i, %s', (which, _) => {
  it.each(SHAPES)('%j over %j', async (dims, axes) => {
    const builder = new GraphBuilder('reductions');
    const data = normals(sizeOf(dims), 1, 3, dims.join()).map((x) => 1 + 0.01 * x);
    const x = builder.input('x', 'float32', dims);
    for (const op of OPS) {
      const y = builder.node(op, [x, builder.ints(axes)], { keepdims: attr.int(0) });
      builder.output(
        y,
        'float32',
        dims.filter((_, axis) => !axes.includes(axis)),
      );
    }
    const graph = builder.build();
    const inputs = new Map([['x', { dtype: 'float32', dims, data } as const]]);
    const expected = runGraph(graph, inputs);
    const found = await executors[which]?.evaluate(graph, inputs);
    for (const { name } of graph.outputs) {
      const [got, want] = [found, expected].map((each) =>
        Array.from(each?.get(name)?.data ?? [], Number),
      );
      expect(got, name).toHaveLength(want?.length ?? -1);
      expect(distance(got ?? [], want ?? []), name).toBeLessThan(1e-4);
    }
    const again = await executors[which]?.evaluate(graph, inputs);
    expect(again).toEqual(found);
  });
});
