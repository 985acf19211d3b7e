/** Reading from the graphics processor: one wait for any number of ranges, through staging buffers that are reused. */
import { AppError } from '../../core/errors';
import type { GpuDevice, GpuFailure } from '../device';
import type { DeviceMemory } from './device-memory';

/** How long after its refusals a lost device may say so. */
const LATE_MS = 1000;

export interface ReadSource {
  readonly buffer: GPUBuffer;
  /** In bytes. */
  readonly offset: number;
  /** In elements of 4 bytes. */
  readonly size: number;
}

export function deviceLost(): AppError {
  return new AppError(
    'engine/device-lost',
    'The graphics processor stopped answering. Training can go on from the last checkpoint.',
  );
}

function refused({ message, memory }: GpuFailure, cause?: unknown): AppError {
  if (memory) {
    return new AppError(
      'engine/memory',
      `The graphics processor has no memory left for this step (${message}).`,
      { detail: message },
      cause,
    );
  }
  return new AppError(
    'engine/gpu',
    `The graphics processor refused a step: ${message} Choose the processor as the device and start again.`,
    { detail: message },
    cause,
  );
}

/** A device that goes away refuses what is under way first and says that it is lost a moment later. */
async function isLostByNow(gpu: GpuDevice): Promise<boolean> {
  const moment = new Promise((resolve) => setTimeout(resolve, LATE_MS));
  await Promise.race([gpu.device.lost, moment]);
  return gpu.isLost();
}

/** Kept for the next reading; what is larger than all of this is made anew each time. */
const MOST_KEPT = 4;
const MOST_BYTES = 2 ** 22;

export class StagingPool {
  readonly #memory: DeviceMemory;
  #free: GPUBuffer[] = [];

  constructor(memory: DeviceMemory) {
    this.#memory = memory;
  }

  /** The copies are recorded before this returns for the first time: what happens later does not show. */
  async read(gpu: GpuDevice, sources: readonly ReadSource[]): Promise<ArrayBuffer[]> {
    if (gpu.isLost()) throw deviceLost();
    const { device } = gpu;
    const total = sources.reduce((sum, { size }) => sum + size * 4, 0);
    if (total === 0) return sources.map(() => new ArrayBuffer(0));
    const staging = this.#take(total);
    const encoder = device.createCommandEncoder();
    let offset = 0;
    for (const { buffer, offset: from, size } of sources) {
      if (size > 0) encoder.copyBufferToBuffer(buffer, from, staging, offset, size * 4);
      offset += size * 4;
    }
    device.queue.submit([encoder.finish()]);
    try {
      await staging.mapAsync(GPUMapMode.READ, 0, total);
    } catch (cause) {
      this.#memory.free(staging);
      if (await isLostByNow(gpu)) throw deviceLost();
      const failure = gpu.failure();
      if (failure) throw refused(failure, cause);
      throw new AppError(
        'engine/gpu',
        'Results could not be read back from the graphics processor. Try again, or train on the processor.',
        {},
        cause,
      );
    }
    const bytes = staging.getMappedRange(0, total);
    let from = 0;
    const parts = sources.map(({ size }) => bytes.slice(from, (from += size * 4)));
    staging.unmap();
    this.#give(staging);
    // What was computed after an error is not to be trusted, whatever it looks like.
    const failure = gpu.failure();
    if (failure) throw (await isLostByNow(gpu)) ? deviceLost() : refused(failure);
    if (gpu.isLost()) throw deviceLost();
    return parts;
  }

  dispose(): void {
    for (const buffer of this.#free) this.#memory.free(buffer);
    this.#free = [];
  }

  #take(bytes: number): GPUBuffer {
    const at = this.#free.findIndex(({ size }) => size >= bytes);
    const [found] = at === -1 ? [] : this.#free.splice(at, 1);
    return (
      found ??
      this.#memory.make(
        'read back',
        2 ** Math.ceil(Math.log2(Math.max(bytes, 256))),
        GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST,
      )
    );
  }

  #give(buffer: GPUBuffer): void {
    if (buffer.size <= MOST_BYTES && this.#free.length < MOST_KEPT) {
      this.#free.push(buffer);
      // The smallest that fits is taken first.
      this.#free.sort((a, b) => a.size - b.size);
    } else {
      this.#memory.free(buffer);
    }
  }
}
