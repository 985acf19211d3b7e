/**
 * Results of the last steps, still on the device: a step copies its results to the next place of a ring, so that a
 * ticket can be read (or never be) while later steps run.
 */
import { AppError } from '../../core/errors';
import { deviceType } from '../../ops/lowering/context';
import type { GpuDevice } from '../device';
import type { Ticket } from '../executor';
import type { PlannedValue } from '../plan/step-plan';
import type { DeviceMemory } from './device-memory';
import { deviceLost } from './read';
import type { StagingPool } from './read';

const MOST_SLOTS = 256;
const LEAST_SLOTS = 4;
const RING_BYTES = 2 ** 20;

export class StepTicket implements Ticket {
  readonly #gpu: GpuDevice;
  readonly #read: () => Promise<Map<string, Float32Array | Int32Array>>;
  #result: Promise<Map<string, Float32Array | Int32Array>> | undefined;

  constructor(gpu: GpuDevice, read: () => Promise<Map<string, Float32Array | Int32Array>>) {
    this.#gpu = gpu;
    this.#read = read;
  }

  /** Waits for everything that was submitted when it is called: ask right after the step. */
  async done(): Promise<void> {
    await this.#gpu.device.queue.onSubmittedWorkDone();
    if (this.#gpu.isLost()) throw deviceLost();
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
}

export class ResultRing {
  readonly #gpu: GpuDevice;
  readonly #memory: DeviceMemory;
  readonly #staging: StagingPool;
  readonly #results: readonly PlannedValue[];
  readonly #slotBytes: number;
  readonly #slots: number;
  readonly #ring: GPUBuffer;
  /** Number of the step that wrote each slot last. */
  readonly #written: Float64Array;
  readonly #readSteps = new Set<number>();
  #next = 0;
  #disposed = false;

  constructor(
    gpu: GpuDevice,
    memory: DeviceMemory,
    staging: StagingPool,
    results: readonly PlannedValue[],
  ) {
    this.#gpu = gpu;
    this.#memory = memory;
    this.#staging = staging;
    this.#results = results;
    this.#slotBytes = Math.max(4, ...results.map(({ offset, size }) => (offset + size) * 4));
    const room = Math.floor(RING_BYTES / this.#slotBytes);
    this.#slots = Math.min(MOST_SLOTS, Math.max(LEAST_SLOTS, room));
    this.#written = new Float64Array(this.#slots).fill(-1);
    this.#ring = memory.make(
      'results of the last steps',
      this.#slotBytes * this.#slots,
      GPUBufferUsage.COPY_SRC | GPUBufferUsage.COPY_DST,
    );
  }

  /** Steps whose results nobody has read yet, as far as they are still there. */
  get open(): number {
    return this.#written.filter((step) => step >= 0 && !this.#readSteps.has(step)).length;
  }

  /** Records the copy into the ring. */
  take(encoder: GPUCommandEncoder, results: GPUBuffer): StepTicket {
    const step = this.#next++;
    const slot = step % this.#slots;
    this.#readSteps.delete(this.#written[slot] ?? -1);
    this.#written[slot] = step;
    const at = slot * this.#slotBytes;
    encoder.copyBufferToBuffer(results, 0, this.#ring, at, this.#slotBytes);
    return new StepTicket(this.#gpu, () => this.#fetch(step, slot, at));
  }

  async #fetch(
    step: number,
    slot: number,
    at: number,
  ): Promise<Map<string, Float32Array | Int32Array>> {
    if (this.#disposed || this.#written[slot] !== step) {
      throw new AppError(
        'engine/ticket',
        'The results of this step are gone: many steps have run since. Read a ticket soon after its step.',
      );
    }
    this.#readSteps.add(step);
    const [bytes] = await this.#staging.read(this.#gpu, [
      { buffer: this.#ring, offset: at, size: this.#slotBytes / 4 },
    ]);
    return new Map(
      this.#results.map(({ name, dtype, offset, size }) => {
        const part = (bytes ?? new ArrayBuffer(0)).slice(offset * 4, (offset + size) * 4);
        return [
          name,
          deviceType(dtype) === 'float32' ? new Float32Array(part) : new Int32Array(part),
        ];
      }),
    );
  }

  dispose(): void {
    this.#disposed = true;
    this.#memory.free(this.#ring);
  }
}
