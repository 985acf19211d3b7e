/** Reading from the graphics processor: one staging buffer and one wait for any number of tensors. */
import { AppError } from '../../core/errors';
import type { GpuDevice } from '../device';

export interface ReadSource {
  readonly buffer: GPUBuffer;
  /** In elements of 4 bytes. */
  readonly size: number;
}

export function deviceLost(): AppError {
  return new AppError(
    'engine/device-lost',
    'The graphics processor stopped answering. Training can go on from the last checkpoint.',
  );
}

/** The copies are recorded before this returns for the first time: what happens later does not show. */
export async function readBuffers(
  gpu: GpuDevice,
  sources: readonly ReadSource[],
): Promise<ArrayBuffer[]> {
  if (gpu.isLost()) throw deviceLost();
  const { device } = gpu;
  const total = sources.reduce((sum, { size }) => sum + size * 4, 0);
  if (total === 0) return sources.map(() => new ArrayBuffer(0));
  const staging = device.createBuffer({
    label: 'read back',
    size: total,
    usage: GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST,
  });
  const encoder = device.createCommandEncoder();
  let offset = 0;
  for (const { buffer, size } of sources) {
    if (size > 0) encoder.copyBufferToBuffer(buffer, 0, staging, offset, size * 4);
    offset += size * 4;
  }
  device.queue.submit([encoder.finish()]);
  try {
    await staging.mapAsync(GPUMapMode.READ);
  } catch (cause) {
    staging.destroy();
    if (gpu.isLost()) throw deviceLost();
    throw new AppError(
      'engine/gpu',
      'Results could not be read back from the graphics processor.',
      { detail: gpu.failure() ?? '' },
      cause,
    );
  }
  const bytes = staging.getMappedRange();
  let from = 0;
  const parts = sources.map(({ size }) => bytes.slice(from, (from += size * 4)));
  staging.unmap();
  staging.destroy();
  const failure = gpu.failure();
  if (failure !== undefined) {
    throw new AppError('engine/gpu', `The graphics processor refused a step: ${failure}`, {
      detail: failure,
    });
  }
  return parts;
}
