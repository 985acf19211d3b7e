/** A kernel too long for one dispatch is done in several, which together are the same. */
import { afterAll, describe, expect, it } from 'vitest';
import { normals } from '../../../src/core/philox';
import { createReferenceExecutor } from '../../../src/engine/reference/executor';
import { createWebgpuExecutor } from '../../../src/engine/webgpu/executor';
import type { WebgpuExecutor } from '../../../src/engine/webgpu/executor';
import { GraphBuilder } from '../../../src/onnx/builder';
import { distance } from './support';

const SIDE = 768;
const builder = new GraphBuilder('long');
const [a, b] = ['a', 'b'].map((name) => builder.input(name, 'float32', [SIDE, SIDE]));
const product = builder.node('MatMul', [a ?? '', b ?? '']);
builder.node('Relu', [product], {}, { outputs: ['y'] });
builder.output('y', 'float32', [SIDE, SIDE]);
const graph = builder.build();
const options = { updates: new Map<string, string>(), outputs: ['y'] };
const feeds = new Map([
  ['a', normals(SIDE * SIDE, 1, 1, 'slices')],
  ['b', normals(SIDE * SIDE, 1, 2, 'slices')],
]);

const opened: WebgpuExecutor[] = [];
afterAll(() => {
  for (const executor of opened) executor.dispose();
});

describe('a product of 453 million multiplications', () => {
  const reference = createReferenceExecutor();
  const expected = reference
    .createState([])
    .then((state) => reference.compile(graph, state, options))
    .then((program) => program.step(feeds).read());

  it.each(['quads', 'direct', 'tiled'])('%s', { timeout: 60_000 }, async (variant) => {
    const executor = await createWebgpuExecutor({ variants: () => variant });
    opened.push(executor);
    const program = await executor.compile(graph, await executor.createState([]), options);
    const parts = program.plan.kernels.flatMap((kernel) =>
      kernel.kind === 'dispatch' && kernel.firstGroup !== undefined ? [kernel] : [],
    );
    expect(parts.length).toBeGreaterThan(1);
    let next = 0;
    for (const { firstGroup, workgroups } of parts) {
      expect(firstGroup).toBe(next);
      next += workgroups[0];
    }
    const found = await program.step(feeds).read();
    expect(distance(found.get('y'), (await expected).get('y'))).toBeLessThan(1e-5);
  });
});
