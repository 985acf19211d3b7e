/** onnxruntime starts its threads once a page, so the threaded path has a page of its own. */
import { expect, it } from 'vitest';
import { createReferenceExecutor } from '../../../src/engine/reference/executor';
import { createWasmExecutor } from '../../../src/engine/wasm/executor';
import { CNN, distance, train } from './support';

it('trains with two threads as the reference does, twice the same', async () => {
  const executor = await createWasmExecutor(2);
  expect(executor.planId).toMatch(/threads-2$/);
  const first = await train(executor, CNN, 10);
  const again = await train(executor, CNN, 10);
  expect(again.losses).toEqual(first.losses);
  for (const [entry, values] of first.state) expect(again.state.get(entry), entry).toEqual(values);
  const expected = await train(createReferenceExecutor(), CNN, 1);
  for (const [output, values] of expected.first) {
    expect(distance(first.first.get(output), values), output).toBeLessThan(1e-4);
  }
});
