/** Every buffer of an executor is made and freed here, so that what is held can be told, and a leak seen. */
export class DeviceMemory {
  readonly #device: GPUDevice;
  #buffers = 0;
  #bytes = 0;

  constructor(device: GPUDevice) {
    this.#device = device;
  }

  get buffers(): number {
    return this.#buffers;
  }

  get bytes(): number {
    return this.#bytes;
  }

  make(label: string, size: number, usage: GPUBufferUsageFlags): GPUBuffer {
    const buffer = this.#device.createBuffer({ label, size, usage });
    this.#buffers++;
    this.#bytes += size;
    return buffer;
  }

  free(buffer: GPUBuffer): void {
    this.#buffers--;
    this.#bytes -= buffer.size;
    buffer.destroy();
  }
}
