/**
 * The outputs of one step, still on the graphics processor. Reading copies them out and frees them; a ticket that
 * nobody reads is freed when its Program has gone on for long (or is disposed), so not reading leaks nothing.
 */
import type { WebGPUBackend } from '@tensorflow/tfjs-backend-webgpu';
import type { TensorInfo } from '@tensorflow/tfjs-core';
import { AppError, invariant } from '../../core/errors';
import { sizeOf } from '../../core/dtype';
import type { GpuDevice } from '../device';
import type { Ticket } from '../executor';
import { readBuffers } from './read';

export interface TicketOutput {
  readonly name: string;
  readonly info: TensorInfo;
}

export class WebgpuTicket implements Ticket {
  readonly #backend: WebGPUBackend;
  readonly #gpu: GpuDevice;
  #outputs: readonly TicketOutput[] | null;
  #result: Promise<Map<string, Float32Array | Int32Array>> | undefined;

  constructor(backend: WebGPUBackend, gpu: GpuDevice, outputs: readonly TicketOutput[]) {
    this.#backend = backend;
    this.#gpu = gpu;
    this.#outputs = outputs;
  }

  get open(): boolean {
    return this.#outputs !== null;
  }

  async read(): Promise<Map<string, Float32Array>> {
    const values = await this.values();
    return new Map(
      [...values].map(([name, data]) => [
        name,
        data instanceof Float32Array ? data : Float32Array.from(data),
      ]),
    );
  }

  /** As `read`, but whole numbers as such: float32 holds them only up to 2^24. */
  values(): Promise<Map<string, Float32Array | Int32Array>> {
    this.#result ??= this.#read();
    return this.#result;
  }

  release(): void {
    for (const { info } of this.#outputs ?? []) this.#backend.disposeData(info.dataId);
    this.#outputs = null;
  }

  async #read(): Promise<Map<string, Float32Array | Int32Array>> {
    const outputs = this.#outputs;
    if (outputs === null) {
      throw new AppError(
        'engine/ticket',
        'The results of this step are gone: many steps have run since. Read a ticket soon after its step.',
      );
    }
    const sources = outputs.map(({ info }) => {
      this.#backend.uploadToGPU(info.dataId);
      const { resource } = this.#backend.tensorMap.get(info.dataId);
      invariant(resource instanceof GPUBuffer, 'An output has no buffer.');
      return { buffer: resource, size: sizeOf(info.shape) };
    });
    // The copies are recorded by the time this returns its promise, so the tensors can go at once.
    const reading = readBuffers(this.#gpu, sources);
    this.release();
    const parts = await reading;
    return new Map(
      outputs.map(({ name, info }, index) => {
        const bytes = parts[index] ?? new ArrayBuffer(0);
        const integers = info.dtype === 'int32' || info.dtype === 'bool';
        return [name, integers ? new Int32Array(bytes) : new Float32Array(bytes)];
      }),
    );
  }
}
