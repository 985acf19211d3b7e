/** Any graph, once, on the executors of the browser. ONNX's own tests are in tests/conformance. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Executor } from '../../../src/engine/executor';
import { createWasmExecutor } from '../../../src/engine/wasm/executor';
import { createWebgpuExecutor } from '../../../src/engine/webgpu/executor';
import type { WebgpuExecutor } from '../../../src/engine/webgpu/executor';
import { GraphBuilder } from '../../../src/onnx/builder';
import type { Attribute, Graph, Tensor } from '../../../src/onnx/graph';
import { attr } from '../../../src/onnx/graph';
import { ODD_GRAPHS, tensor } from '../../support/odd-graphs';

let webgpu: WebgpuExecutor;
let wasm: Executor;

beforeAll(async () => {
  webgpu = await createWebgpuExecutor();
  wasm = await createWasmExecutor();
});
afterAll(() => {
  webgpu.dispose();
  wasm.dispose();
});

function oneNode(op: string, x: Tensor, attributes: Record<string, Attribute> = {}): Graph {
  const builder = new GraphBuilder(op);
  builder.input('x', x.dtype, x.dims);
  builder.node(op, ['x'], attributes, { outputs: ['y'], name: 'node' });
  builder.output('y', x.dtype, x.dims);
  return builder.build();
}

describe.each(['webgpu', 'wasm'] as const)('evaluate on %s', (name) => {
  it.each(ODD_GRAPHS)('$name', async ({ graph, inputs, outputs }) => {
    const executor = name === 'webgpu' ? webgpu : wasm;
    expect(await executor.evaluate(graph, inputs)).toEqual(outputs);
  });
});

describe('the graphics processor', () => {
  it('keeps nothing of what it has evaluated', async () => {
    const before = webgpu.memory.buffers;
    for (const { graph, inputs } of ODD_GRAPHS) await webgpu.evaluate(graph, inputs);
    expect(webgpu.memory.buffers).toBe(before);
  });

  it('refuses numbers that it would change', async () => {
    const wide = tensor('float64', [1], [1e200]);
    await expect(
      webgpu.evaluate(oneNode('Neg', wide), new Map([['x', wide]])),
    ).rejects.toMatchObject({ code: 'engine/unsupported' });
    const x = tensor('int64', [1], [2 ** 40]);
    const running = webgpu.evaluate(oneNode('Neg', x), new Map([['x', x]]));
    await expect(running).rejects.toMatchObject({
      code: 'engine/unsupported',
      message: expect.stringContaining('1099511627776') as string,
    });
    const found = await wasm.evaluate(oneNode('Neg', x), new Map([['x', x]]));
    expect(found.get('y')).toEqual(tensor('int64', [1], [-(2 ** 40)]));
  });

  it('names the node whose shape depends on data, or which it cannot run', async () => {
    const x = tensor('float32', [2, 2], [1, 0, 0, 2]);
    const running = webgpu.evaluate(oneNode('NonZero', x), new Map([['x', x]]));
    await expect(running).rejects.toMatchObject({
      code: 'engine/unsupported',
      message: expect.stringContaining('Node "node"') as string,
    });
  });

  it('goes on after a graph that it refused', async () => {
    const x = tensor('float32', [2], [1, -1]);
    const relu = oneNode('LeakyRelu', x, { alpha: attr.float(0.5) });
    await expect(webgpu.evaluate(relu, new Map())).rejects.toMatchObject({ code: 'engine/feed' });
    const found = await webgpu.evaluate(relu, new Map([['x', x]]));
    expect(found.get('y')).toEqual(tensor('float32', [2], [1, -0.5]));
  });
});
