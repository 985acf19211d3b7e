/** The things that a stub device makes. Each checks what it is made from, as the standard's validation does. */

/** What the objects tell their device. */
export interface StubCore {
  readonly limits: GPUSupportedLimits;
  readonly fill: ((buffer: GPUBuffer, bytes: ArrayBuffer) => void) | undefined;
  call(): void;
  count(
    name:
      | 'passes'
      | 'submits'
      | 'copies'
      | 'copiedBytes'
      | 'clears'
      | 'uploads'
      | 'uploadedBytes'
      | 'maps',
    by?: number,
  ): void;
  held(bytes: number): void;
  dispatched(dispatch: Dispatch): void;
}

export interface Dispatch {
  /** Of the pipeline. */
  readonly label: string;
  readonly workgroups: readonly [number, number, number];
  /** Threads of a workgroup, where the WGSL says it in numbers. */
  readonly workgroupSize: number | undefined;
  readonly code: string;
}

export function refuse(message: string): never {
  throw new Error(message);
}

export class StubBuffer implements GPUBuffer {
  readonly __brand = 'GPUBuffer';
  label: string;
  readonly size: number;
  readonly usage: number;
  mapState: GPUBufferMapState;
  readonly #core: StubCore;
  #mapped: ArrayBuffer | undefined;
  #destroyed = false;

  constructor(core: StubCore, descriptor: GPUBufferDescriptor) {
    const { label = '', size, usage, mappedAtCreation = false } = descriptor;
    this.#core = core;
    this.label = label;
    this.size = size;
    this.usage = usage;
    this.mapState = mappedAtCreation ? 'mapped' : 'unmapped';
    if (!Number.isInteger(size) || size < 0 || size > core.limits.maxBufferSize) {
      refuse(`Buffer "${label}" cannot have ${size} bytes.`);
    }
    if (usage === 0) refuse(`Buffer "${label}" has no usage.`);
    if (mappedAtCreation) {
      if (size % 4 !== 0) refuse(`Buffer "${label}" is mapped, so its size must divide by 4.`);
      this.#mapped = new ArrayBuffer(size);
      core.count('uploadedBytes', size);
    }
    core.held(size);
  }

  /** Throws unless the buffer can be used like this in commands. */
  check(usage: Exclude<keyof typeof GPUBufferUsage, '__brand' | 'prototype'>): void {
    this.checkAlive();
    if ((this.usage & GPUBufferUsage[usage]) === 0) {
      refuse(`Buffer "${this.label}" was not made for ${usage}.`);
    }
  }

  checkAlive(): void {
    if (this.#destroyed) refuse(`Buffer "${this.label}" is destroyed.`);
    if (this.mapState !== 'unmapped') refuse(`Buffer "${this.label}" is mapped.`);
  }

  checkRange(offset: number, size: number): void {
    if (offset % 4 !== 0 || size % 4 !== 0) {
      refuse(`Bytes ${offset} + ${size} of buffer "${this.label}" do not divide by 4.`);
    }
    if (offset < 0 || size < 0 || offset + size > this.size) {
      refuse(`Bytes ${offset} + ${size} are outside of buffer "${this.label}" of ${this.size}.`);
    }
  }

  async mapAsync(mode: number, offset = 0, size = this.size - offset): Promise<undefined> {
    this.#core.call();
    this.#core.count('maps');
    this.check(mode === GPUMapMode.READ ? 'MAP_READ' : 'MAP_WRITE');
    this.checkRange(offset, size);
    this.mapState = 'pending';
    await Promise.resolve();
    this.#mapped = new ArrayBuffer(this.size);
    this.#core.fill?.(this, this.#mapped);
    this.mapState = 'mapped';
  }

  getMappedRange(offset = 0, size = this.size - offset): ArrayBuffer {
    this.#core.call();
    const bytes = this.#mapped;
    if (bytes === undefined) return refuse(`Buffer "${this.label}" is not mapped.`);
    this.checkRange(offset, size);
    return offset === 0 && size === this.size ? bytes : bytes.slice(offset, offset + size);
  }

  unmap(): undefined {
    this.#core.call();
    this.#mapped = undefined;
    this.mapState = 'unmapped';
  }

  destroy(): undefined {
    this.#core.call();
    if (this.#destroyed) return;
    this.#destroyed = true;
    this.#core.held(-this.size);
  }
}

export class StubModule implements GPUShaderModule {
  readonly __brand = 'GPUShaderModule';
  label: string;
  readonly code: string;

  constructor({ label = '', code }: GPUShaderModuleDescriptor) {
    this.label = label;
    this.code = code;
  }

  getCompilationInfo(): Promise<GPUCompilationInfo> {
    return Promise.resolve({ __brand: 'GPUCompilationInfo', messages: [] });
  }
}

export class StubBindGroupLayout implements GPUBindGroupLayout {
  readonly __brand = 'GPUBindGroupLayout';
  label: string;
  /** By binding number. */
  readonly entries: ReadonlyMap<number, GPUBufferBindingType>;

  constructor(core: StubCore, { label = '', entries }: GPUBindGroupLayoutDescriptor) {
    this.label = label;
    this.entries = new Map(
      [...entries].map(({ binding, buffer }) => [binding, buffer?.type ?? 'uniform']),
    );
    const storage = [...this.entries.values()].filter((type) => type !== 'uniform').length;
    if (storage > core.limits.maxStorageBuffersPerShaderStage) {
      refuse(`Layout "${label}" binds ${storage} storage buffers, more than the device allows.`);
    }
  }
}

export class StubPipelineLayout implements GPUPipelineLayout {
  readonly __brand = 'GPUPipelineLayout';
  label: string;
  readonly groups: readonly (GPUBindGroupLayout | null | undefined)[];

  constructor({ label = '', bindGroupLayouts }: GPUPipelineLayoutDescriptor) {
    this.label = label;
    this.groups = [...bindGroupLayouts];
  }
}

interface Binding {
  readonly buffer: StubBuffer;
  readonly offset: number;
  readonly size: number;
  readonly writes: boolean;
}

export class StubBindGroup implements GPUBindGroup {
  readonly __brand = 'GPUBindGroup';
  label: string;
  readonly layout: GPUBindGroupLayout;
  readonly bindings: readonly Binding[];

  constructor(core: StubCore, { label = '', layout, entries }: GPUBindGroupDescriptor) {
    this.label = label;
    this.layout = layout;
    const types = layout instanceof StubBindGroupLayout ? layout.entries : undefined;
    const given = [...entries];
    if (types && given.length !== types.size) {
      refuse(`Bind group "${label}" has ${given.length} entries; its layout has ${types.size}.`);
    }
    this.bindings = given.map(({ binding, resource }) => {
      const bound = 'buffer' in resource ? resource : { buffer: resource };
      const { buffer } = bound;
      if (!(buffer instanceof StubBuffer)) return refuse(`Binding ${binding} is not a buffer.`);
      const offset = ('offset' in bound ? bound.offset : undefined) ?? 0;
      const size = ('size' in bound ? bound.size : undefined) ?? buffer.size - offset;
      if (types && !types.has(binding)) refuse(`Bind group "${label}" has no binding ${binding}.`);
      const type = types?.get(binding) ?? 'storage';
      if (types) buffer.check(type === 'uniform' ? 'UNIFORM' : 'STORAGE');
      buffer.checkRange(offset, size);
      const most =
        type === 'uniform'
          ? core.limits.maxUniformBufferBindingSize
          : core.limits.maxStorageBufferBindingSize;
      if (size === 0 || size > most) refuse(`Binding ${binding} of "${label}" has ${size} bytes.`);
      if (offset % 256 !== 0) refuse(`Binding ${binding} of "${label}" begins at byte ${offset}.`);
      return { buffer, offset, size, writes: type === 'storage' && types !== undefined };
    });
  }
}

/** Of all bind groups that one dispatch sees: what is written must not be bound a second time. */
export function checkAliases(groups: readonly StubBindGroup[]): void {
  const bindings = groups.flatMap((group) => group.bindings);
  for (const written of bindings.filter(({ writes }) => writes)) {
    for (const other of bindings) {
      const apart =
        other === written ||
        other.buffer !== written.buffer ||
        other.offset >= written.offset + written.size ||
        written.offset >= other.offset + other.size;
      if (!apart) refuse(`Buffer "${written.buffer.label}" is bound for writing and once more.`);
    }
  }
}

export class StubPipeline implements GPUComputePipeline {
  readonly __brand = 'GPUComputePipeline';
  label: string;
  readonly code: string;
  readonly workgroupSize: number | undefined;
  readonly layout: StubPipelineLayout | undefined;
  readonly #core: StubCore;
  readonly #auto = new Map<number, GPUBindGroupLayout>();

  constructor(core: StubCore, { label = '', layout, compute }: GPUComputePipelineDescriptor) {
    this.#core = core;
    this.label = label;
    this.layout = layout instanceof StubPipelineLayout ? layout : undefined;
    this.code = compute.module instanceof StubModule ? compute.module.code : '';
    const entry = compute.entryPoint ?? '';
    if (!new RegExp(`fn\\s+${entry}`).test(this.code)) {
      refuse(`Pipeline "${label}" has no function ${entry}.`);
    }
    const size = /@workgroup_size\(\s*([\d\s,u]+)\)/.exec(this.code)?.[1];
    this.workgroupSize = size
      ?.split(',')
      .filter((text) => text.trim() !== '')
      .reduce((product, text) => product * Number.parseInt(text), 1);
    if ((this.workgroupSize ?? 0) > core.limits.maxComputeInvocationsPerWorkgroup) {
      refuse(`Pipeline "${label}" has workgroups of ${this.workgroupSize} threads.`);
    }
  }

  /** Layouts of a pipeline without a given one are not known without compiling, so nothing is checked against them. */
  getBindGroupLayout(index: number): GPUBindGroupLayout {
    this.#core.call();
    const given = this.layout?.groups[index];
    if (given) return given;
    const known = this.#auto.get(index) ?? { __brand: 'GPUBindGroupLayout', label: 'auto' };
    this.#auto.set(index, known);
    return known;
  }
}

export class StubQuerySet implements GPUQuerySet {
  readonly __brand = 'GPUQuerySet';
  label: string;
  readonly type: GPUQueryType;
  readonly count: number;
  readonly #core: StubCore;

  constructor(core: StubCore, { label = '', type, count }: GPUQuerySetDescriptor) {
    if (count > 4096) refuse(`A query set holds at most 4096 queries, not ${count}.`);
    this.#core = core;
    this.label = label;
    this.type = type;
    this.count = count;
  }

  destroy(): undefined {
    this.#core.call();
  }
}
