/** State on the graphics processor: one buffer for all entries, and a second one for a snapshot. */
import { AppError } from '../../core/errors';
import type { State, StateSpec } from '../executor';
import type { GpuDevice } from '../device';
import { StateLayout } from '../plan/state-layout';
import type { DeviceMemory } from './device-memory';
import type { StagingPool } from './read';

export class FlatState implements State {
  readonly specs: readonly StateSpec[];
  readonly layout: StateLayout;
  readonly buffer: GPUBuffer;
  readonly #gpu: GpuDevice;
  readonly #memory: DeviceMemory;
  readonly #staging: StagingPool;
  #snapshot: GPUBuffer | undefined;
  #disposed = false;

  constructor(
    gpu: GpuDevice,
    memory: DeviceMemory,
    staging: StagingPool,
    specs: readonly StateSpec[],
  ) {
    this.specs = specs;
    this.layout = new StateLayout(specs);
    this.#gpu = gpu;
    this.#memory = memory;
    this.#staging = staging;
    const size = Math.max(this.layout.size, 64) * 4;
    const { maxBufferSize, maxStorageBufferBindingSize } = gpu.device.limits;
    const limit = Math.min(maxBufferSize, maxStorageBufferBindingSize);
    if (size > limit) {
      throw new AppError(
        'engine/too-large',
        `The weights and what is kept beside them take ${Math.ceil(size / 2 ** 20)} MiB, but this graphics processor ` +
          `takes at most ${Math.floor(limit / 2 ** 20)} MiB in one piece. Choose a smaller model.`,
        { bytes: size, limit },
      );
    }
    this.buffer = memory.make(
      'state',
      size,
      GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_SRC | GPUBufferUsage.COPY_DST,
    );
  }

  async read(names?: readonly string[]): Promise<Map<string, Float32Array>> {
    const wanted = names ?? this.specs.map(({ name }) => name);
    const parts = await this.#staging.read(
      this.#gpu,
      wanted.map((name) => {
        const { offset, size } = this.layout.require(name);
        return { buffer: this.buffer, offset: offset * 4, size };
      }),
    );
    return new Map(
      wanted.map((name, index) => [name, new Float32Array(parts[index] ?? new ArrayBuffer(0))]),
    );
  }

  async write(values: ReadonlyMap<string, Float32Array>): Promise<void> {
    for (const [name, array] of values) {
      const { offset, size } = this.layout.require(name);
      if (array.length !== size) {
        throw new AppError(
          'engine/state',
          `The state entry "${name}" holds ${size} numbers, but ${array.length} were given.`,
          { name },
        );
      }
      // A view over shared memory is refused by the device.
      const own =
        array.buffer instanceof ArrayBuffer
          ? (array as Float32Array<ArrayBuffer>)
          : new Float32Array(array);
      if (size > 0) this.#gpu.device.queue.writeBuffer(this.buffer, offset * 4, own);
    }
    await this.#gpu.device.queue.onSubmittedWorkDone();
  }

  async snapshot(): Promise<void> {
    this.#snapshot ??= this.#memory.make(
      'state (best)',
      this.buffer.size,
      GPUBufferUsage.COPY_SRC | GPUBufferUsage.COPY_DST,
    );
    await this.#copy(this.buffer, this.#snapshot);
  }

  async restore(): Promise<void> {
    if (this.#snapshot === undefined) {
      throw new AppError('engine/state', 'There is no snapshot to go back to. Take one first.');
    }
    await this.#copy(this.#snapshot, this.buffer);
  }

  async #copy(from: GPUBuffer, to: GPUBuffer): Promise<void> {
    const { device } = this.#gpu;
    const encoder = device.createCommandEncoder();
    encoder.copyBufferToBuffer(from, 0, to, 0, from.size);
    device.queue.submit([encoder.finish()]);
    await device.queue.onSubmittedWorkDone();
  }

  dispose(): void {
    if (this.#disposed) return;
    this.#disposed = true;
    this.#memory.free(this.buffer);
    if (this.#snapshot) this.#memory.free(this.#snapshot);
    this.#snapshot = undefined;
  }
}
