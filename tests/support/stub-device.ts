/**
 * A GPUDevice that computes nothing and counts everything: what a step costs is then exact and the same everywhere.
 * It also refuses what a real device would refuse (ranges, usages, limits, a buffer bound twice, use after destroy),
 * at once and by throwing, so that a wrong plan fails here and not only in a browser. Mapped memory is zeros unless
 * `fill` says otherwise; WGSL is not compiled.
 */
import { StubEncoder, StubQueue } from './stub-commands';
import {
  StubBindGroup,
  StubBindGroupLayout,
  StubBuffer,
  StubModule,
  StubPipeline,
  StubPipelineLayout,
  StubQuerySet,
  refuse,
} from './stub-objects';
import type { Dispatch, StubCore } from './stub-objects';

export type { Dispatch } from './stub-objects';

/** What grows with every call. */
export interface Counts {
  /** Every call of a WebGPU method. */
  readonly calls: number;
  readonly buffers: number;
  readonly pipelines: number;
  readonly modules: number;
  readonly bindGroups: number;
  readonly querySets: number;
  readonly encoders: number;
  readonly passes: number;
  readonly dispatches: number;
  readonly submits: number;
  readonly copies: number;
  readonly copiedBytes: number;
  readonly clears: number;
  readonly uploads: number;
  /** By writeBuffer and by buffers that are mapped when created. */
  readonly uploadedBytes: number;
  readonly maps: number;
}

export interface Snapshot {
  readonly counts: Counts;
  readonly dispatches: readonly Dispatch[];
}

export interface StubOptions {
  readonly features?: readonly string[];
  readonly limits?: Partial<Record<Limit, number>>;
  /** Fills what is about to be read from a mapped buffer. */
  readonly fill?: (buffer: GPUBuffer, bytes: ArrayBuffer) => void;
}

type Limit = Exclude<keyof GPUSupportedLimits, '__brand'>;

/** What a common GPU with a few GB gives. */
const LIMITS: Readonly<Record<Limit, number>> = {
  maxTextureDimension1D: 8192,
  maxTextureDimension2D: 8192,
  maxTextureDimension3D: 2048,
  maxTextureArrayLayers: 256,
  maxBindGroups: 4,
  maxBindGroupsPlusVertexBuffers: 24,
  maxBindingsPerBindGroup: 1000,
  maxDynamicUniformBuffersPerPipelineLayout: 8,
  maxDynamicStorageBuffersPerPipelineLayout: 4,
  maxSampledTexturesPerShaderStage: 16,
  maxSamplersPerShaderStage: 16,
  maxStorageBuffersPerShaderStage: 10,
  maxStorageBuffersInVertexStage: 10,
  maxStorageBuffersInFragmentStage: 10,
  maxStorageTexturesPerShaderStage: 4,
  maxStorageTexturesInVertexStage: 4,
  maxStorageTexturesInFragmentStage: 4,
  maxUniformBuffersPerShaderStage: 12,
  maxUniformBufferBindingSize: 65_536,
  maxStorageBufferBindingSize: 2_147_483_644,
  minUniformBufferOffsetAlignment: 256,
  minStorageBufferOffsetAlignment: 256,
  maxVertexBuffers: 8,
  maxBufferSize: 2_147_483_648,
  maxVertexAttributes: 16,
  maxVertexBufferArrayStride: 2048,
  maxInterStageShaderVariables: 16,
  maxInterStageShaderComponents: 64,
  maxColorAttachments: 8,
  maxColorAttachmentBytesPerSample: 32,
  maxComputeWorkgroupStorageSize: 32_768,
  maxComputeInvocationsPerWorkgroup: 1024,
  maxComputeWorkgroupSizeX: 1024,
  maxComputeWorkgroupSizeY: 1024,
  maxComputeWorkgroupSizeZ: 64,
  maxComputeWorkgroupsPerDimension: 65_535,
  maxImmediateSize: 0,
};

/** The flags that a browser defines and Node does not. */
const FLAGS = {
  GPUBufferUsage: {
    MAP_READ: 1,
    MAP_WRITE: 2,
    COPY_SRC: 4,
    COPY_DST: 8,
    INDEX: 16,
    VERTEX: 32,
    UNIFORM: 64,
    STORAGE: 128,
    INDIRECT: 256,
    QUERY_RESOLVE: 512,
  },
  GPUMapMode: { READ: 1, WRITE: 2 },
  GPUShaderStage: { VERTEX: 1, FRAGMENT: 2, COMPUTE: 4 },
};

const ZERO: Counts = {
  calls: 0,
  buffers: 0,
  pipelines: 0,
  modules: 0,
  bindGroups: 0,
  querySets: 0,
  encoders: 0,
  passes: 0,
  dispatches: 0,
  submits: 0,
  copies: 0,
  copiedBytes: 0,
  clears: 0,
  uploads: 0,
  uploadedBytes: 0,
  maps: 0,
};

export class StubDevice extends EventTarget implements GPUDevice, StubCore {
  readonly __brand = 'GPUDevice';
  label = 'stub';
  onuncapturederror: GPUDevice['onuncapturederror'] = null;
  readonly features: GPUSupportedFeatures;
  readonly limits: GPUSupportedLimits;
  readonly adapterInfo: GPUAdapterInfo = {
    __brand: 'GPUAdapterInfo',
    vendor: 'stub',
    architecture: 'counting',
    device: '',
    description: 'counting stub',
    isFallbackAdapter: false,
  };
  readonly queue: GPUQueue;
  readonly lost: Promise<GPUDeviceLostInfo>;
  readonly fill: StubOptions['fill'];
  /** Bytes of all buffers that are not destroyed: now, and the most there ever were. */
  liveBytes = 0;
  peakBytes = 0;
  liveBuffers = 0;
  readonly #counts = { ...ZERO };
  readonly #dispatches: Dispatch[] = [];
  #lose: (info: GPUDeviceLostInfo) => void = () => undefined;

  constructor({ features = [], limits = {}, fill }: StubOptions = {}) {
    super();
    Object.assign(globalThis, FLAGS);
    this.features = Object.assign(new Set(features), { __brand: 'GPUSupportedFeatures' as const });
    this.limits = { ...LIMITS, ...limits, __brand: 'GPUSupportedLimits' };
    this.fill = fill;
    this.queue = new StubQueue(this);
    this.lost = new Promise((resolve) => {
      this.#lose = resolve;
    });
  }

  /** All counts until now. */
  snapshot(): Snapshot {
    return { counts: { ...this.#counts }, dispatches: [...this.#dispatches] };
  }

  /** What was counted after `start` was taken. */
  since({ counts, dispatches }: Snapshot): Snapshot {
    const difference = { ...this.#counts };
    for (const key of countNames) difference[key] -= counts[key];
    return { counts: difference, dispatches: this.#dispatches.slice(dispatches.length) };
  }

  /** Forgets the peak, so that the next one is that of what follows. */
  resetPeak(): void {
    this.peakBytes = this.liveBytes;
  }

  count(name: keyof Counts, by = 1): void {
    this.#counts[name] += by;
  }

  call(): void {
    this.#counts.calls++;
  }

  dispatched(dispatch: Dispatch): void {
    this.count('dispatches');
    this.#dispatches.push(dispatch);
  }

  held(bytes: number): void {
    this.liveBytes += bytes;
    this.liveBuffers += Math.sign(bytes);
    this.peakBytes = Math.max(this.peakBytes, this.liveBytes);
  }

  /** Takes the device away, as a crashed driver does. */
  lose(message: string): void {
    this.#lose({ __brand: 'GPUDeviceLostInfo', reason: 'unknown', message });
  }

  destroy(): undefined {
    this.call();
    this.#lose({ __brand: 'GPUDeviceLostInfo', reason: 'destroyed', message: 'destroyed' });
  }

  createBuffer(descriptor: GPUBufferDescriptor): GPUBuffer {
    this.#make('buffers');
    return new StubBuffer(this, descriptor);
  }

  createShaderModule(descriptor: GPUShaderModuleDescriptor): GPUShaderModule {
    this.#make('modules');
    return new StubModule(descriptor);
  }

  createBindGroupLayout(descriptor: GPUBindGroupLayoutDescriptor): GPUBindGroupLayout {
    this.call();
    return new StubBindGroupLayout(this, descriptor);
  }

  createPipelineLayout(descriptor: GPUPipelineLayoutDescriptor): GPUPipelineLayout {
    this.call();
    return new StubPipelineLayout(descriptor);
  }

  createBindGroup(descriptor: GPUBindGroupDescriptor): GPUBindGroup {
    this.#make('bindGroups');
    return new StubBindGroup(this, descriptor);
  }

  createComputePipeline(descriptor: GPUComputePipelineDescriptor): GPUComputePipeline {
    this.#make('pipelines');
    return new StubPipeline(this, descriptor);
  }

  async createComputePipelineAsync(
    descriptor: GPUComputePipelineDescriptor,
  ): Promise<GPUComputePipeline> {
    this.#make('pipelines');
    return new StubPipeline(this, descriptor);
  }

  createCommandEncoder(descriptor: GPUCommandEncoderDescriptor = {}): GPUCommandEncoder {
    this.#make('encoders');
    return new StubEncoder(this, descriptor.label);
  }

  createQuerySet(descriptor: GPUQuerySetDescriptor): GPUQuerySet {
    this.#make('querySets');
    if (descriptor.type === 'timestamp' && !this.features.has('timestamp-query')) {
      refuse('A timestamp query needs the feature timestamp-query.');
    }
    return new StubQuerySet(this, descriptor);
  }

  pushErrorScope(): undefined {
    this.call();
  }

  popErrorScope(): Promise<GPUError | null> {
    this.call();
    return Promise.resolve(null);
  }

  createTexture(): never {
    return refuse('The stub has no textures.');
  }

  createSampler(): never {
    return refuse('The stub has no samplers.');
  }

  importExternalTexture(): never {
    return refuse('The stub has no textures.');
  }

  createRenderPipeline(): never {
    return refuse('The stub draws nothing.');
  }

  createRenderPipelineAsync(): never {
    return refuse('The stub draws nothing.');
  }

  createRenderBundleEncoder(): never {
    return refuse('The stub draws nothing.');
  }

  #make(what: keyof Counts): void {
    this.call();
    this.count(what);
  }
}

const countNames = Object.keys(ZERO) as (keyof Counts)[];
