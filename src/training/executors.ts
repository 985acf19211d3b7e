/** Opens an executor by name. Each is a chunk of its own: only the engine in use is ever loaded. */
import type { Executor, ExecutorName } from '../engine/executor';
import type { TuningMemory } from '../engine/webgpu/tuner';
import type { DeviceLimits } from '../protocol/memory';

export interface OpenedExecutor {
  readonly executor: Executor;
  /** For people: what it runs on. */
  readonly label: string;
  /** Of the graphics processor. */
  readonly limits?: DeviceLimits;
}

/** @param tuningMemory where the graphics processor's tuner keeps what it measured */
export async function openExecutor(
  name: ExecutorName,
  tuningMemory?: TuningMemory,
): Promise<OpenedExecutor> {
  switch (name) {
    case 'webgpu': {
      const { createWebgpuExecutor } = await import('../engine/webgpu/executor');
      const { bindingBytes } = await import('../engine/webgpu/traits');
      const executor = await createWebgpuExecutor(tuningMemory && { tuningMemory });
      const { gpu } = executor;
      return { executor, label: gpu.label, limits: { pieceBytes: bindingBytes(gpu) } };
    }
    case 'wasm': {
      const { createWasmExecutor } = await import('../engine/wasm/executor');
      const executor = await createWasmExecutor();
      const { threads } = executor;
      const label = threads === 1 ? 'the processor, 1 thread' : `the processor, ${threads} threads`;
      return { executor, label };
    }
    case 'reference': {
      const { createReferenceExecutor } = await import('../engine/reference/executor');
      return { executor: createReferenceExecutor(), label: 'the reference interpreter' };
    }
  }
}
