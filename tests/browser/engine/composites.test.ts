/** Gradients of whole layers equal PyTorch's on webgpu, and on the wasm build that learns in the browser. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Executor } from '../../../src/engine/executor';
import { createWasmExecutor } from '../../../src/engine/wasm/executor';
import { createWebgpuExecutor } from '../../../src/engine/webgpu/executor';
import { expectedOf, gradientsGraph, relativeError, VARIANTS } from '../../support/composites';

let devices: readonly Executor[];
beforeAll(async () => {
  devices = [await createWasmExecutor(), await createWebgpuExecutor()];
});
afterAll(() => {
  for (const device of devices) device.dispose();
});

describe.each(VARIANTS)('%s', (name, composite) => {
  it('equals PyTorch', async () => {
    const { graph, feeds } = gradientsGraph(name, composite);
    for (const device of devices) {
      const found = await device.evaluate(graph, feeds);
      for (const [output, values] of expectedOf(composite)) {
        const numbers = Array.from(found.get(output)?.data ?? [], Number);
        expect(relativeError(numbers, values), `${output} on ${device.name}`).toBeLessThan(1e-4);
      }
    }
  });
});
