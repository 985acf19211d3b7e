import { afterAll, beforeAll } from 'vitest';
import type { Executor } from '../../../src/engine/executor';
import { createWasmExecutor } from '../../../src/engine/wasm/executor';
import { testEveryGradient } from '../../support/every-gradient';

let executor: Executor;
beforeAll(async () => {
  executor = await createWasmExecutor();
});
afterAll(() => executor.dispose());

testEveryGradient(() => executor);
