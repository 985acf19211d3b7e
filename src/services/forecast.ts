/** What the next run would take of memory, before anything is opened for it. */
import type { MemoryEstimate } from '../protocol/api';
import type { ExecutorName, RunConfig } from '../protocol/entities';
import type { Device } from './device';
import type { WorkerSet } from './workers';

/** null while it is not known which engine would run it: this computer has not been measured. */
export async function forecastMemory(
  workers: Pick<WorkerSet, 'data' | 'train'>,
  device: Pick<Device, 'foresee'>,
  config: RunConfig,
): Promise<MemoryEstimate | null> {
  const foreseen = await device.foresee(config.executor);
  if (foreseen === null) return null;
  const { executor, report } = foreseen;
  const { limits = null, precisions = [] } = report?.webgpu ?? {};
  const { precision = 'float32' } = config.training;
  const offered = executor === 'webgpu' && precisions.includes(precision);
  const others: readonly ExecutorName[] = executor === 'webgpu' ? ['wasm'] : [];
  return workers.train.estimate({
    config,
    prepared: await workers.data.prepare(config),
    executor,
    precision: offered ? precision : 'float32',
    limits,
    others,
  });
}
