/**
 * Kernels of tfjs between two segments of a plan, for operators too rare to have one of ours. tfjs keeps each tensor
 * in a buffer of its own, so inputs are copied out of the plan's buffers and results back in.
 */
import { WebGPUBackend } from '@tensorflow/tfjs-backend-webgpu';
import { env, getKernel } from '@tensorflow/tfjs-core';
import type { NamedAttrMap, TensorInfo } from '@tensorflow/tfjs-core';
import { invariant } from '../../core/errors';
import { sizeOf } from '../../core/dtype';
import type { GpuDevice } from '../device';
import type { Place } from '../plan/source';
import type { PlannedCold } from '../plan/step-plan';

/** One kernel of tfjs within a step: `bring` and `take` record copies around `run`. */
export interface ColdRun {
  bring(encoder: GPUCommandEncoder): void;
  run(): void;
  take(encoder: GPUCommandEncoder): void;
  dispose(): void;
}

interface Fed {
  readonly info: TensorInfo;
  readonly buffer: GPUBuffer;
  readonly source: GPUBuffer;
  readonly from: number;
  readonly bytes: number;
}

export class ColdKernels {
  readonly #backend: WebGPUBackend;

  constructor(gpu: GpuDevice) {
    // Small operands computed on the CPU would round differently, and cost a read-back.
    env().set('WEBGPU_CPU_FORWARD', false);
    this.#backend = new WebGPUBackend(gpu.device, gpu.info);
  }

  prepare(cold: PlannedCold, buffers: ReadonlyMap<string, GPUBuffer>): ColdRun {
    const backend = this.#backend;
    const { spec } = cold;
    const at = ({ buffer, offset }: Place): { buffer: GPUBuffer; from: number } => {
      const found = buffers.get(buffer);
      invariant(found !== undefined, `The plan has no buffer "${buffer}".`);
      return { buffer: found, from: offset * 4 };
    };
    const fed = spec.inputs.map(({ dims, dtype }, index): Fed => {
      const place = cold.inputs[index];
      invariant(place !== undefined, 'An input of a tfjs kernel has no place.');
      const { buffer: source, from } = at(place);
      const bytes = sizeOf(dims) * 4;
      const buffer = backend.device.createBuffer({
        label: `${spec.label} input`,
        size: Math.max(bytes, 4),
        usage: GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_SRC | GPUBufferUsage.COPY_DST,
      });
      const info = backend.makeTensorInfo([...dims], dtype);
      const data = backend.tensorMap.get(info.dataId);
      data.resource = buffer;
      data.external = true;
      return { info, buffer, source, from, bytes };
    });
    const named = Object.fromEntries(
      fed.map(({ info }, index) => [spec.names[index] ?? 'x', info]),
    );
    const attrs: NamedAttrMap = {};
    for (const [name, value] of Object.entries(spec.attributes)) {
      attrs[name] = typeof value === 'object' ? [...value] : value;
    }
    let made: readonly TensorInfo[] = [];
    return {
      bring(encoder) {
        for (const { buffer, source, from, bytes } of fed) {
          if (bytes > 0) encoder.copyBufferToBuffer(source, from, buffer, 0, bytes);
        }
      },
      run() {
        const result = getKernel(spec.kernel, 'webgpu').kernelFunc({
          inputs: named,
          attrs,
          backend,
        });
        made = Array.isArray(result) ? result : [result];
        for (const { dataId } of made) backend.uploadToGPU(dataId);
        backend.ensureCommandEncoderReady();
        backend.endComputePassEncoder();
        backend.submitQueue();
      },
      take(encoder) {
        made.forEach(({ dataId }, index) => {
          const place = cold.outputs[index];
          const { resource } = backend.tensorMap.get(dataId);
          if (place && resource instanceof GPUBuffer) {
            const { buffer, from } = at(place);
            const bytes = sizeOf(spec.outputs[index]?.dims ?? [0]) * 4;
            if (bytes > 0) encoder.copyBufferToBuffer(resource, 0, buffer, from, bytes);
          }
          backend.disposeData(dataId);
        });
        made = [];
      },
      dispose() {
        for (const { info, buffer } of fed) {
          backend.disposeData(info.dataId, true);
          buffer.destroy();
        }
      },
    };
  }

  dispose(): void {
    this.#backend.dispose();
  }
}
