/** Queue, encoder and compute pass of a stub device: they count and check, and run nothing. */
import {
  StubBindGroup,
  StubBuffer,
  StubPipeline,
  StubQuerySet,
  checkAliases,
  refuse,
} from './stub-objects';
import type { StubCore } from './stub-objects';

function ours(buffer: GPUBuffer): StubBuffer {
  return buffer instanceof StubBuffer ? buffer : refuse('The buffer is of another device.');
}

class StubCommands implements GPUCommandBuffer {
  readonly __brand = 'GPUCommandBuffer';
  submitted = false;

  constructor(
    readonly label: string,
    /** What must still be alive when the commands are submitted. */
    readonly buffers: ReadonlySet<StubBuffer>,
  ) {}
}

export class StubQueue implements GPUQueue {
  readonly __brand = 'GPUQueue';
  label = '';
  readonly #core: StubCore;

  constructor(core: StubCore) {
    this.#core = core;
  }

  submit(commandBuffers: Iterable<GPUCommandBuffer>): undefined {
    this.#core.call();
    this.#core.count('submits');
    for (const commands of commandBuffers) {
      if (!(commands instanceof StubCommands))
        return refuse('The commands are not of this device.');
      if (commands.submitted) refuse(`The commands "${commands.label}" are submitted twice.`);
      for (const buffer of commands.buffers) buffer.checkAlive();
      commands.submitted = true;
    }
  }

  onSubmittedWorkDone(): Promise<undefined> {
    this.#core.call();
    return Promise.resolve(undefined);
  }

  /** `dataOffset` and `size` are elements of a typed array, and bytes of anything else. */
  writeBuffer(
    buffer: GPUBuffer,
    bufferOffset: number,
    data: GPUAllowSharedBufferSource,
    dataOffset = 0,
    size?: number,
  ): undefined {
    this.#core.call();
    const element =
      ArrayBuffer.isView(data) && 'BYTES_PER_ELEMENT' in data ? Number(data.BYTES_PER_ELEMENT) : 1;
    const most = data.byteLength - dataOffset * element;
    const bytes = size === undefined ? most : size * element;
    if (bytes < 0 || bytes > most) refuse('writeBuffer reads beyond its data.');
    const target = ours(buffer);
    target.check('COPY_DST');
    target.checkRange(bufferOffset, bytes);
    this.#core.count('uploads');
    this.#core.count('uploadedBytes', bytes);
  }

  writeTexture(): never {
    return refuse('The stub has no textures.');
  }

  copyExternalImageToTexture(): never {
    return refuse('The stub has no textures.');
  }
}

export class StubEncoder implements GPUCommandEncoder {
  readonly __brand = 'GPUCommandEncoder';
  label: string;
  readonly #core: StubCore;
  readonly #buffers = new Set<StubBuffer>();
  #pass: StubPass | undefined;
  #finished = false;

  constructor(core: StubCore, label = '') {
    this.#core = core;
    this.label = label;
  }

  beginComputePass(descriptor: GPUComputePassDescriptor = {}): GPUComputePassEncoder {
    this.#command();
    this.#core.count('passes');
    const { timestampWrites } = descriptor;
    if (timestampWrites) this.#query(timestampWrites.querySet, 0, 0);
    this.#pass = new StubPass(this.#core, this.#buffers, descriptor.label);
    return this.#pass;
  }

  copyBufferToBuffer(source: GPUBuffer, destination: GPUBuffer, size?: number): undefined;
  copyBufferToBuffer(
    source: GPUBuffer,
    sourceOffset: number,
    destination: GPUBuffer,
    destinationOffset: number,
    size?: number,
  ): undefined;
  copyBufferToBuffer(
    source: GPUBuffer,
    second: GPUBuffer | number,
    third?: GPUBuffer | number,
    destinationOffset = 0,
    lastSize?: number,
  ): undefined {
    this.#command();
    const short = typeof second !== 'number';
    const to = short ? second : third;
    const offset = short ? 0 : second;
    const size = short ? third : lastSize;
    if (typeof to !== 'object' || typeof size === 'object') return refuse('A copy needs a target.');
    const from = this.#use(source, 'COPY_SRC');
    const target = this.#use(to, 'COPY_DST');
    const bytes = size ?? from.size - offset;
    if (from === target) refuse(`Buffer "${from.label}" is copied into itself.`);
    from.checkRange(offset, bytes);
    target.checkRange(destinationOffset, bytes);
    this.#core.count('copies');
    this.#core.count('copiedBytes', bytes);
  }

  clearBuffer(buffer: GPUBuffer, offset = 0, size?: number): undefined {
    this.#command();
    const target = this.#use(buffer, 'COPY_DST');
    target.checkRange(offset, size ?? target.size - offset);
    this.#core.count('clears');
  }

  resolveQuerySet(
    querySet: GPUQuerySet,
    firstQuery: number,
    queryCount: number,
    destination: GPUBuffer,
    destinationOffset: number,
  ): undefined {
    this.#command();
    this.#query(querySet, firstQuery, queryCount);
    const target = this.#use(destination, 'QUERY_RESOLVE');
    if (destinationOffset % 256 !== 0) refuse('Queries are resolved at multiples of 256 bytes.');
    target.checkRange(destinationOffset, queryCount * 8);
  }

  finish(): GPUCommandBuffer {
    this.#command();
    this.#finished = true;
    return new StubCommands(this.label, this.#buffers);
  }

  pushDebugGroup(): undefined {
    this.#command();
  }

  popDebugGroup(): undefined {
    this.#command();
  }

  insertDebugMarker(): undefined {
    this.#command();
  }

  /** Of an older standard. */
  writeTimestamp(): never {
    return refuse('Timestamps belong to passes.');
  }

  beginRenderPass(): never {
    return refuse('The stub draws nothing.');
  }

  copyBufferToTexture(): never {
    return refuse('The stub has no textures.');
  }

  copyTextureToBuffer(): never {
    return refuse('The stub has no textures.');
  }

  copyTextureToTexture(): never {
    return refuse('The stub has no textures.');
  }

  #command(): void {
    this.#core.call();
    if (this.#finished) refuse(`The encoder "${this.label}" is finished.`);
    if (this.#pass?.open === true) refuse(`A pass of the encoder "${this.label}" is still open.`);
  }

  #use(buffer: GPUBuffer, usage: 'COPY_SRC' | 'COPY_DST' | 'QUERY_RESOLVE'): StubBuffer {
    const used = ours(buffer);
    used.check(usage);
    this.#buffers.add(used);
    return used;
  }

  #query(set: GPUQuerySet, first: number, count: number): void {
    if (!(set instanceof StubQuerySet)) refuse('The query set is of another device.');
    if (first < 0 || first + count > set.count) refuse('The query set has fewer queries.');
  }
}

class StubPass implements GPUComputePassEncoder {
  readonly __brand = 'GPUComputePassEncoder';
  label: string;
  open = true;
  readonly #core: StubCore;
  readonly #buffers: Set<StubBuffer>;
  readonly #groups = new Map<number, StubBindGroup>();
  #pipeline: StubPipeline | undefined;

  constructor(core: StubCore, buffers: Set<StubBuffer>, label = '') {
    this.#core = core;
    this.#buffers = buffers;
    this.label = label;
  }

  setPipeline(pipeline: GPUComputePipeline): undefined {
    this.#command();
    if (!(pipeline instanceof StubPipeline)) return refuse('The pipeline is of another device.');
    this.#pipeline = pipeline;
  }

  setBindGroup(index: number, group: GPUBindGroup | null | undefined): undefined {
    this.#command();
    if (group instanceof StubBindGroup) this.#groups.set(index, group);
    else if (group) refuse('The bind group is of another device.');
    else this.#groups.delete(index);
  }

  dispatchWorkgroups(x: number, y = 1, z = 1): undefined {
    this.#command();
    const pipeline = this.#pipeline;
    if (!pipeline) return refuse('A dispatch needs a pipeline.');
    const { label, code, workgroupSize, layout } = pipeline;
    for (const count of [x, y, z]) {
      const most = this.#core.limits.maxComputeWorkgroupsPerDimension;
      if (!Number.isInteger(count) || count < 1 || count > most) {
        refuse(`"${label}" is dispatched with ${count} workgroups along one axis.`);
      }
    }
    layout?.groups.forEach((wanted, index) => {
      if (wanted && this.#groups.get(index)?.layout !== wanted) {
        refuse(`"${label}" is dispatched without its bind group ${index}.`);
      }
    });
    const groups = [...this.#groups.values()];
    checkAliases(groups);
    for (const { buffer } of groups.flatMap(({ bindings }) => bindings)) this.#buffers.add(buffer);
    this.#core.dispatched({ label, code, workgroupSize, workgroups: [x, y, z] });
  }

  end(): undefined {
    this.#command();
    this.open = false;
  }

  pushDebugGroup(): undefined {
    this.#command();
  }

  popDebugGroup(): undefined {
    this.#command();
  }

  insertDebugMarker(): undefined {
    this.#command();
  }

  dispatchWorkgroupsIndirect(): never {
    return refuse('The stub cannot know how many workgroups a buffer holds.');
  }

  setImmediates(): never {
    return refuse('The stub has no immediates.');
  }

  #command(): void {
    this.#core.call();
    if (!this.open) refuse(`The pass "${this.label}" has ended.`);
  }
}
