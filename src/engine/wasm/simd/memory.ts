/**
 * One linear memory for all States and Programs of an executor, shared between threads where the page is isolated.
 * Regions are found first-fit; what is given back is used again, and the memory goes with the executor.
 */
import { AppError } from '../../../core/errors';

const PAGE = 65536;
const ALIGNMENT = 64;
/** Address 0 is nobody's; the first bytes belong to the threads' signals. */
const RESERVED = 1024;
/** 4 GiB where the engine grants it, else less. */
const MAXIMA = [65536, 32768, 16384, 4096];

interface Region {
  readonly address: number;
  readonly bytes: number;
}

export class LinearMemory {
  readonly memory: WebAssembly.Memory;
  readonly maximumPages: number;
  #used: Region[] = [];

  constructor(readonly shared: boolean) {
    const made = openMemory(shared);
    this.memory = made.memory;
    this.maximumPages = made.maximumPages;
  }

  /** A region of zeros, a multiple of 64 bytes from 0. */
  allocate(bytes: number): number {
    const size = Math.ceil(Math.max(bytes, 1) / ALIGNMENT) * ALIGNMENT;
    let address = RESERVED;
    let place = 0;
    for (const region of this.#used) {
      if (address + size <= region.address) break;
      address = region.address + region.bytes;
      place++;
    }
    this.#reach(address + size);
    this.#used.splice(place, 0, { address, bytes: size });
    new Uint8Array(this.memory.buffer, address, size).fill(0);
    return address;
  }

  free(address: number): void {
    this.#used = this.#used.filter((region) => region.address !== address);
  }

  /** Views are good until the next allocation: growing may move the memory. */
  floats(address: number, length: number): Float32Array<ArrayBuffer> {
    return new Float32Array(this.memory.buffer, address, length);
  }

  ints(address: number, length: number): Int32Array<ArrayBuffer> {
    return new Int32Array(this.memory.buffer, address, length);
  }

  #reach(bytes: number): void {
    // Kernels may read a little beyond the last region.
    const missing = bytes + ALIGNMENT - this.memory.buffer.byteLength;
    if (missing <= 0) return;
    try {
      this.memory.grow(Math.ceil(missing / PAGE));
    } catch (cause) {
      throw new AppError(
        'engine/memory',
        `This step needs ${Math.ceil(bytes / 2 ** 20)} MiB, which the browser does not give. Make the batch or the model smaller.`,
        { bytes },
        cause,
      );
    }
  }
}

function openMemory(shared: boolean): { memory: WebAssembly.Memory; maximumPages: number } {
  let refused: unknown;
  for (const maximumPages of MAXIMA) {
    try {
      const memory = new WebAssembly.Memory({ initial: 1, maximum: maximumPages, shared });
      return { memory, maximumPages };
    } catch (cause) {
      refused = cause;
    }
  }
  throw new AppError(
    'engine/memory',
    'The browser gives no memory for training. Close other pages and try again.',
    {},
    refused,
  );
}
