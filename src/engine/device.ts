/**
 * The graphics processor, owned by us: asked for with what the adapter really offers (tfjs would ask for less),
 * recognised where it is only software, and watched until it is lost. A missing capability is null, not an error.
 */
export interface GpuFailure {
  readonly message: string;
  /** It had no memory left; else a kernel or a call was refused. */
  readonly memory: boolean;
}

export interface GpuDevice {
  readonly device: GPUDevice;
  readonly info: GPUAdapterInfo;
  /** Name for a person. */
  readonly label: string;
  /** WebGPU emulated on the processor: right answers, slowly. */
  readonly software: boolean;
  /** First error that no call reported by itself; undefined while all is well. */
  failure(): GpuFailure | undefined;
  /** Resolves with a sentence when the device is gone though nobody closed it. */
  readonly lost: Promise<string>;
  isLost(): boolean;
  close(): void;
}

const SOFTWARE = /swiftshader|llvmpipe|lavapipe|softpipe|software|basic render/i;

/** `isFallbackAdapter` and the names by which browsers show their emulations. */
export function isSoftware(info: GPUAdapterInfo): boolean {
  if (info.isFallbackAdapter) return true;
  return SOFTWARE.test(`${info.vendor} ${info.architecture} ${info.device} ${info.description}`);
}

export function describeAdapter(info: GPUAdapterInfo): string {
  const words = info.description || [info.vendor, info.architecture].filter(Boolean).join(' ');
  const name = words === '' ? 'graphics processor' : words;
  return isSoftware(info) ? `${name} (emulated in software)` : name;
}

/** Opens the strongest adapter; null where the browser has no WebGPU or gives no adapter. */
export async function openDevice(): Promise<GpuDevice | null> {
  // Typed as always present, yet absent on insecure addresses and in older browsers.
  const gpu = (navigator as { gpu?: GPU }).gpu;
  const adapter = (await gpu?.requestAdapter({ powerPreference: 'high-performance' })) ?? null;
  if (adapter === null) return null;
  const { info, limits, features } = adapter;
  const wanted: readonly GPUFeatureName[] = ['timestamp-query', 'shader-f16', 'subgroups'];
  const device = await adapter.requestDevice({
    requiredFeatures: wanted.filter((feature) => features.has(feature)),
    requiredLimits: {
      maxBufferSize: limits.maxBufferSize,
      maxStorageBufferBindingSize: limits.maxStorageBufferBindingSize,
      maxStorageBuffersPerShaderStage: limits.maxStorageBuffersPerShaderStage,
      maxComputeWorkgroupStorageSize: limits.maxComputeWorkgroupStorageSize,
      maxComputeInvocationsPerWorkgroup: limits.maxComputeInvocationsPerWorkgroup,
      maxComputeWorkgroupSizeX: limits.maxComputeWorkgroupSizeX,
      maxComputeWorkgroupsPerDimension: limits.maxComputeWorkgroupsPerDimension,
    },
  });
  let closed = false;
  let gone = false;
  let failure: GpuFailure | undefined;
  device.addEventListener('uncapturederror', (event) => {
    const { error } = event;
    const memory = error instanceof GPUOutOfMemoryError;
    // What is refused after memory ran out is refused because it ran out.
    if (failure === undefined || (memory && !failure.memory)) {
      failure = { message: error.message, memory };
    }
    event.preventDefault();
  });
  const lost = new Promise<string>((resolve) => {
    void device.lost.then(({ message }) => {
      gone = true;
      if (closed) return;
      const detail = message === '' ? '' : ` (${message})`;
      resolve(`The graphics processor stopped answering${detail}.`);
    });
  });
  return {
    device,
    info,
    label: describeAdapter(info),
    software: isSoftware(info),
    failure: () => failure,
    lost,
    isLost: () => gone,
    close: () => {
      closed = true;
      device.destroy();
    },
  };
}
