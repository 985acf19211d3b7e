/**
 * State on the graphics processor: one buffer an entry, written in place by the update, copied on the device for a
 * snapshot. The backend sees each buffer as a tensor that it must neither free nor cache.
 */
import type { WebGPUBackend } from '@tensorflow/tfjs-backend-webgpu';
import type { TensorInfo } from '@tensorflow/tfjs-core';
import { AppError, invariant } from '../../core/errors';
import { sizeOf } from '../../core/dtype';
import type { State, StateSpec } from '../executor';
import type { GpuDevice } from '../device';
import { readBuffers } from './read';

export interface ResidentTensor {
  readonly info: TensorInfo;
  readonly buffer: GPUBuffer;
  readonly dims: readonly number[];
}

/** A tensor whose buffer belongs to us and outlives steps: state, feeds and constants. */
export function makeResident(
  backend: WebGPUBackend,
  dims: readonly number[],
  dtype: 'float32' | 'int32' | 'bool',
  label: string,
): ResidentTensor {
  const buffer = backend.device.createBuffer({
    label,
    // Empty tensors still need something to bind.
    size: Math.max(sizeOf(dims) * 4, 4),
    usage: GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_SRC | GPUBufferUsage.COPY_DST,
  });
  const info = backend.makeTensorInfo([...dims], dtype);
  const data = backend.tensorMap.get(info.dataId);
  data.resource = buffer;
  data.external = true;
  return { info, buffer, dims };
}

export function freeResident(backend: WebGPUBackend, tensor: ResidentTensor): void {
  backend.disposeData(tensor.info.dataId, true);
  tensor.buffer.destroy();
}

export class WebgpuState implements State {
  readonly specs: readonly StateSpec[];
  readonly #backend: WebGPUBackend;
  readonly #gpu: GpuDevice;
  readonly #entries = new Map<string, ResidentTensor>();
  readonly #snapshot = new Map<string, GPUBuffer>();

  constructor(backend: WebGPUBackend, gpu: GpuDevice, specs: readonly StateSpec[]) {
    this.specs = specs;
    this.#backend = backend;
    this.#gpu = gpu;
    for (const { name, dims } of specs) {
      invariant(!this.#entries.has(name), `The state has two entries named "${name}".`);
      this.#entries.set(name, makeResident(backend, dims, 'float32', name));
    }
  }

  entry(name: string): ResidentTensor | undefined {
    return this.#entries.get(name);
  }

  async read(names?: readonly string[]): Promise<Map<string, Float32Array>> {
    const wanted = names ?? this.specs.map(({ name }) => name);
    const sources = wanted.map((name) => ({ name, ...this.#require(name) }));
    const arrays = await readBuffers(
      this.#gpu,
      sources.map(({ buffer, dims }) => ({ buffer, size: sizeOf(dims) })),
    );
    return new Map(
      wanted.map((name, index) => [name, new Float32Array(arrays[index] ?? new ArrayBuffer(0))]),
    );
  }

  async write(values: ReadonlyMap<string, Float32Array>): Promise<void> {
    for (const [name, array] of values) {
      const { buffer, dims } = this.#require(name);
      if (array.length !== sizeOf(dims)) {
        throw new AppError(
          'engine/state',
          `The state entry "${name}" holds ${sizeOf(dims)} numbers, but ${array.length} were given.`,
          { name },
        );
      }
      this.#gpu.device.queue.writeBuffer(buffer, 0, new Float32Array(array));
    }
    await this.#gpu.device.queue.onSubmittedWorkDone();
  }

  async snapshot(): Promise<void> {
    const { device } = this.#gpu;
    const encoder = device.createCommandEncoder();
    for (const [name, { buffer }] of this.#entries) {
      let copy = this.#snapshot.get(name);
      if (copy === undefined) {
        const usage = GPUBufferUsage.COPY_SRC | GPUBufferUsage.COPY_DST;
        copy = device.createBuffer({ label: `${name} (best)`, size: buffer.size, usage });
        this.#snapshot.set(name, copy);
      }
      encoder.copyBufferToBuffer(buffer, 0, copy, 0, buffer.size);
    }
    device.queue.submit([encoder.finish()]);
    await device.queue.onSubmittedWorkDone();
  }

  async restore(): Promise<void> {
    if (this.#snapshot.size === 0) {
      throw new AppError('engine/state', 'There is no snapshot to go back to. Take one first.');
    }
    const { device } = this.#gpu;
    const encoder = device.createCommandEncoder();
    for (const [name, copy] of this.#snapshot) {
      encoder.copyBufferToBuffer(copy, 0, this.#require(name).buffer, 0, copy.size);
    }
    device.queue.submit([encoder.finish()]);
    await device.queue.onSubmittedWorkDone();
  }

  dispose(): void {
    for (const tensor of this.#entries.values()) freeResident(this.#backend, tensor);
    for (const buffer of this.#snapshot.values()) buffer.destroy();
    this.#entries.clear();
    this.#snapshot.clear();
  }

  #require(name: string): ResidentTensor {
    const found = this.#entries.get(name);
    if (found === undefined) {
      throw new AppError('engine/state', `The state has no entry named "${name}".`, { name });
    }
    return found;
  }
}
