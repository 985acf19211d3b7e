/** Matrix products in every variant against the reference, on sizes that fill no tile. */
import { afterAll, beforeAll, expect, it } from 'vitest';
import { sizeOf } from '../../../src/core/dtype';
import { normals } from '../../../src/core/philox';
import { openDevice } from '../../../src/engine/device';
import type { GpuDevice } from '../../../src/engine/device';
import { runGraph } from '../../../src/engine/reference/run-graph';
import { WebgpuExecutor } from '../../../src/engine/webgpu/executor';
import { GraphBuilder } from '../../../src/onnx/builder';
import { attr } from '../../../src/onnx/graph';
import type { Graph, Tensor } from '../../../src/onnx/graph';
import { distance } from './support';

interface Calls {
  readonly graph: Graph;
  readonly inputs: Map<string, Tensor>;
}

/**
 * A graph of many products. `few`: one of each kind, since whole workgroups take an emulated GPU a second to compile.
 */
function calls(few: boolean): Calls {
  const builder = new GraphBuilder('products');
  const inputs = new Map<string, Tensor>();
  const given = (dims: readonly number[], dtype: 'float32' | 'int32' = 'float32'): string => {
    const name = builder.input(`in${inputs.size}`, dtype, dims);
    const noise = normals(sizeOf(dims), 1, 3, name);
    const data = dtype === 'int32' ? Int32Array.from(noise, (x) => Math.round(4 * x)) : noise;
    inputs.set(name, { dtype, dims, data });
    return name;
  };
  const output = (
    name: string,
    dims: readonly number[],
    dtype: 'float32' | 'int32' = 'float32',
  ) => {
    builder.output(name, dtype, dims);
  };
  const matMul = (a: readonly number[], b: readonly number[], dims: readonly number[]): void =>
    output(builder.node('MatMul', [given(a), given(b)]), dims);
  matMul([17, 33], [33, 65], [17, 65]);
  matMul([5, 640], [640, 7], [5, 7]);
  if (!few) {
    matMul([1, 1], [1, 1], [1, 1]);
    matMul([3, 5], [5, 17], [3, 17]);
    matMul([65, 130], [130, 3], [65, 3]);
    matMul([64, 32], [32, 64], [64, 64]);
    matMul([2, 3, 17, 5], [5, 33], [2, 3, 17, 33]);
    matMul([2, 1, 5, 33], [3, 33, 17], [2, 3, 5, 17]);
    matMul([33], [33, 5], [5]);
    matMul([3, 17, 33], [33], [3, 17]);
  }
  const integers = builder.node('MatMul', [given([5, 17], 'int32'), given([17, 9], 'int32')]);
  output(integers, [5, 9], 'int32');

  // What a Transpose makes is read where it came from.
  const turned = (x: string, perm: readonly number[]): string =>
    builder.node('Transpose', [x], { perm: attr.ints(perm) });
  if (!few) {
    const left = turned(given([33, 17]), [1, 0]);
    output(builder.node('MatMul', [left, turned(given([5, 33]), [1, 0])]), [17, 5]);
  }
  const queries = turned(given([2, 5, 3, 17]), [0, 2, 1, 3]); // [2, 3, 5, 17]
  const keys = turned(given([2, 9, 3, 17]), [0, 2, 3, 1]); // [2, 3, 17, 9]
  output(builder.node('MatMul', [queries, keys]), [2, 3, 5, 9]);

  const gemm = (transA: number, transB: number, c: readonly number[]): void => {
    const a = given(transA ? [33, 17] : [17, 33]);
    const b = given(transB ? [65, 33] : [33, 65]);
    const attributes = {
      transA: attr.int(transA),
      transB: attr.int(transB),
      alpha: attr.float(0.5),
      beta: attr.float(-2),
    };
    output(builder.node('Gemm', [a, b, given(c)], attributes), [17, 65]);
  };
  gemm(1, 1, [17, 1]);
  if (!few) {
    gemm(0, 0, [65]);
    gemm(1, 0, [17, 65]);
    gemm(0, 1, [1]);
  }

  // What follows is computed where the product is written, once for each element.
  const product = builder.node('Gemm', [given([19, 64]), given([64, 21]), given([21])]);
  const residual = builder.node('Relu', [given([19, 21])]);
  output(builder.node('Relu', [builder.node('Add', [product, residual])]), [19, 21]);
  return { graph: builder.build(), inputs };
}

let gpu: GpuDevice;
beforeAll(async () => {
  const opened = await openDevice();
  if (opened === null) throw new Error('no WebGPU');
  gpu = opened;
});
afterAll(() => gpu.device.destroy());

it.each([
  ['software', 'direct'],
  ['software', 'quads'],
  ['software', 'split'],
  ['hardware', 'tiled'],
  ['hardware', 'small tiles'],
  ['hardware', 'split'],
] as const)(
  'as on %s: %s',
  async (where, variant) => {
    const { graph, inputs } = calls(where === 'hardware');
    const executor = new WebgpuExecutor(
      { ...gpu, software: where === 'software' },
      { variants: (family) => (family === 'matmul' ? variant : undefined) },
    );
    const expected = runGraph(graph, inputs);
    const found = await executor.evaluate(graph, inputs);
    for (const { name, dims } of graph.outputs) {
      const [got, want] = [found, expected].map((each) =>
        Array.from(each.get(name)?.data ?? [], Number),
      );
      expect(got, name).toHaveLength(sizeOf(dims as number[]));
      expect(distance(got, want), `${name} ${dims.join('x')}`).toBeLessThan(1e-5);
    }
    expect(await executor.evaluate(graph, inputs)).toEqual(found);
  },
  120_000,
);
