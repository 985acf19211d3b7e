/** Operators that a plan hands to tfjs, between kernels of our own, in a program of several steps. */
import { afterAll, beforeAll, expect, it } from 'vitest';
import { normals } from '../../../src/core/philox';
import { createReferenceExecutor } from '../../../src/engine/reference/executor';
import { createWebgpuExecutor } from '../../../src/engine/webgpu/executor';
import type { WebgpuExecutor } from '../../../src/engine/webgpu/executor';
import { GraphBuilder } from '../../../src/onnx/builder';
import type { Graph } from '../../../src/onnx/graph';
import { distance } from './support';

let webgpu: WebgpuExecutor;
beforeAll(async () => {
  webgpu = await createWebgpuExecutor();
});
afterAll(() => webgpu.dispose());

function graphOf(op: 'CumSum' | 'TopK', rows: number, columns: number): Graph {
  const builder = new GraphBuilder(op);
  const x = builder.input('x', 'float32', [rows, columns]);
  const doubled = builder.node('Add', [x, x]);
  if (op === 'CumSum') {
    const sum = builder.node('CumSum', [doubled, builder.ints([1])]);
    builder.node('Neg', [sum], {}, { outputs: ['y'] });
    builder.output('y', 'float32', [rows, columns]);
  } else {
    const [values = '', places = ''] = builder.nodes('TopK', [doubled, builder.ints([7])], 2);
    builder.node('Neg', [values], {}, { outputs: ['y'] });
    builder.node('Identity', [places], {}, { outputs: ['places'] });
    builder.output('y', 'float32', [rows, 7]);
    builder.output('places', 'int64', [rows, 7]);
  }
  return builder.build();
}

it.each(['CumSum', 'TopK'] as const)('%s of long lines', async (op) => {
  const [rows, columns] = [3, 5000];
  const graph = graphOf(op, rows, columns);
  const outputs = graph.outputs.map(({ name }) => name);
  const options = { updates: new Map<string, string>(), outputs };
  const reference = createReferenceExecutor();
  const programs = [];
  for (const executor of [reference, webgpu]) {
    programs.push(await executor.compile(graph, await executor.createState([]), options));
  }
  const buffers = webgpu.memory.buffers;
  for (const step of [1, 2, 3]) {
    const feeds = new Map([['x', normals(rows * columns, 1, step, 'cold')]]);
    const [expected, found] = await Promise.all(
      programs.map((program) => program.step(feeds).read()),
    );
    for (const name of outputs) {
      expect(distance(found?.get(name), expected?.get(name)), name).toBeLessThan(1e-5);
    }
  }
  expect(webgpu.memory.buffers - buffers).toBeLessThanOrEqual(1);
  for (const program of programs) program.dispose();
});
