/** The executors of a browser, each loaded only where it is asked for. */
import type { Executor } from '../../../src/engine/executor';

export type DeviceExecutor = 'webgpu' | 'wasm';

export async function openExecutor(name: DeviceExecutor): Promise<Executor> {
  if (name === 'webgpu') {
    const { createWebgpuExecutor } = await import('../../../src/engine/webgpu/executor');
    return createWebgpuExecutor();
  }
  const { createWasmExecutor } = await import('../../../src/engine/wasm/executor');
  return createWasmExecutor();
}
