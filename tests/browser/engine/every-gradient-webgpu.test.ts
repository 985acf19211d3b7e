import { afterAll, beforeAll } from 'vitest';
import type { Executor } from '../../../src/engine/executor';
import { createWebgpuExecutor } from '../../../src/engine/webgpu/executor';
import { testEveryGradient } from '../../support/every-gradient';

let executor: Executor;
beforeAll(async () => {
  executor = await createWebgpuExecutor();
});
afterAll(() => executor.dispose());

// WGSL promises sin, cos and what is made of atan2 only to 2⁻¹¹ (its table of accuracies, section 15.7.4).
const TRIGONOMETRY = ['Sin', 'Cos', 'Tan', 'Asin', 'Acos', 'Atan', 'Scan'];
testEveryGradient(() => executor, Object.fromEntries(TRIGONOMETRY.map((op) => [op, 2 ** -10])));
