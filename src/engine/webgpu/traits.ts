/** What of a device decides which kernels a plan has. */
import type { DeviceTraits } from '../../ops/lowering/plan';
import type { GpuDevice } from '../device';

export function traitsOf({ device, software }: GpuDevice): DeviceTraits {
  const { maxComputeInvocationsPerWorkgroup, maxComputeWorkgroupStorageSize } = device.limits;
  return {
    software,
    subgroups: device.features.has('subgroups'),
    float16: device.features.has('shader-f16'),
    workgroupThreads: maxComputeInvocationsPerWorkgroup,
    workgroupBytes: maxComputeWorkgroupStorageSize,
  };
}

/** Most bytes that one binding takes. */
export function bindingBytes({ device }: GpuDevice): number {
  const { maxBufferSize, maxStorageBufferBindingSize } = device.limits;
  return Math.min(maxBufferSize, maxStorageBufferBindingSize);
}
