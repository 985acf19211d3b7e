/**
 * Runs the optimiser node on the graphics processor: one pass of 2·weights + 2 dispatches, in place on the state
 * buffers, skipped on the device itself when the gradient norm is not finite. tfjs kernels have one output and no
 * in-place form, so these pipelines are our own on the shared queue.
 */
import type { WebGPUBackend } from '@tensorflow/tfjs-backend-webgpu';
import type { TensorInfo } from '@tensorflow/tfjs-core';
import { invariant } from '../../core/errors';
import { sizeOf } from '../../core/dtype';
import type { OptimiserPlan } from '../optimiser';
import {
  controlSource,
  DONE_SOURCE,
  normSource,
  FACTORS_IN_NORM,
  FACTORS_IN_UPDATE,
  NORM_THREADS,
  updateSource,
  UPDATE_WORKGROUP,
  WEIGHT_BYTES,
} from './optimiser-source';
import type { ResidentTensor, WebgpuState } from './state';

interface Slot {
  readonly gradient: string;
  readonly uniform: GPUBuffer;
  readonly threads: number;
  readonly size: number;
  /** Weight and moments, in the order of the update's bindings. */
  readonly resident: readonly ResidentTensor[];
}

const MOST_WORKGROUPS = 65535;

export class WebgpuOptimiser {
  readonly plan: OptimiserPlan;
  readonly #backend: WebGPUBackend;
  readonly #slots: readonly Slot[];
  readonly #partials: GPUBuffer;
  readonly #control: GPUBuffer;
  readonly #pipelines: readonly [
    norm: GPUComputePipeline,
    control: GPUComputePipeline,
    update: GPUComputePipeline,
    done: GPUComputePipeline,
  ];

  static async create(
    backend: WebGPUBackend,
    state: WebgpuState,
    plan: OptimiserPlan,
  ): Promise<WebgpuOptimiser> {
    const compile = (label: string, code: string) =>
      backend.device.createComputePipelineAsync({
        label: `${plan.kind} ${label}`,
        layout: 'auto',
        compute: { module: backend.device.createShaderModule({ code }), entryPoint: 'main' },
      });
    const pipelines = await Promise.all([
      compile('norm', normSource(plan)),
      compile('control', controlSource(plan)),
      compile('update', updateSource(plan)),
      compile('done', DONE_SOURCE),
    ]);
    return new WebgpuOptimiser(backend, state, plan, pipelines);
  }

  private constructor(
    backend: WebGPUBackend,
    state: WebgpuState,
    plan: OptimiserPlan,
    pipelines: readonly [
      GPUComputePipeline,
      GPUComputePipeline,
      GPUComputePipeline,
      GPUComputePipeline,
    ],
  ) {
    this.plan = plan;
    this.#backend = backend;
    this.#pipelines = pipelines;
    const { device } = backend;
    let offset = 0;
    this.#slots = plan.weights.map(({ weight, gradient, moments, decays }, index) => {
      const resident = [weight, ...moments].map((name) => {
        const entry = state.entry(name);
        invariant(
          entry !== undefined,
          `The optimiser updates "${name}", which is not in the state.`,
        );
        return entry;
      });
      const size = sizeOf(resident[0]?.dims ?? []);
      const threads = Math.min(NORM_THREADS, Math.max(1, Math.ceil(size / 16)));
      const uniform = device.createBuffer({
        label: `${weight} update`,
        size: WEIGHT_BYTES,
        usage: GPUBufferUsage.UNIFORM | GPUBufferUsage.COPY_DST,
      });
      const numbers = Uint32Array.of(size, threads, offset, Number(decays), index);
      device.queue.writeBuffer(uniform, 0, numbers);
      offset += threads;
      return { gradient, uniform, threads, size, resident };
    });
    this.#partials = device.createBuffer({
      label: 'gradient norm parts',
      size: Math.max(offset, 1) * 4,
      usage: GPUBufferUsage.STORAGE,
    });
    this.#control = device.createBuffer({
      label: 'update control',
      size: 24,
      usage: GPUBufferUsage.STORAGE,
    });
  }

  /** Values that a step must have computed before. */
  get inputs(): readonly string[] {
    const { learningRate, step, clipNorm, factors } = this.plan;
    const gradients = this.#slots.map(({ gradient }) => gradient);
    return [learningRate, step, clipNorm, ...gradients, ...(factors ? [factors] : [])];
  }

  /** Records and submits the update. Returns the tensors grad_norm and step_done. */
  run(value: (name: string) => TensorInfo): { gradNorm: TensorInfo; stepDone: TensorInfo } {
    const backend = this.#backend;
    const { device } = backend;
    const gradNorm = backend.makeTensorInfo([], 'float32');
    const stepDone = backend.makeTensorInfo([], 'float32');
    const buffer = (tensor: TensorInfo): GPUBuffer => {
      backend.uploadToGPU(tensor.dataId);
      const { resource } = backend.tensorMap.get(tensor.dataId);
      invariant(resource instanceof GPUBuffer, 'A tensor of the update has no buffer.');
      return resource;
    };
    const { learningRate, step, clipNorm, factors } = this.plan;
    const factorBuffer = factors === undefined ? undefined : buffer(value(factors));
    const scalars = [learningRate, step, clipNorm].map((name) => buffer(value(name)));
    const gradients = this.#slots.map(({ gradient }) => buffer(value(gradient)));
    const outputs = [buffer(gradNorm), buffer(stepDone)];

    // What tfjs has recorded so far computes the gradients.
    backend.ensureCommandEncoderReady();
    backend.endComputePassEncoder();
    backend.submitQueue();

    const [norm, control, update, done] = this.#pipelines;
    const encoder = device.createCommandEncoder({ label: 'update' });
    const pass = encoder.beginComputePass({ label: this.plan.kind });
    const dispatch = (
      pipeline: GPUComputePipeline,
      buffers: readonly (GPUBuffer | undefined)[],
      workgroups: number,
      factorBinding?: number,
    ): void => {
      const entries = buffers.map((each, binding) => {
        invariant(each !== undefined, 'A buffer of the update is missing.');
        return { binding, resource: { buffer: each } };
      });
      if (factorBinding !== undefined && factorBuffer !== undefined) {
        entries.push({ binding: factorBinding, resource: { buffer: factorBuffer } });
      }
      pass.setPipeline(pipeline);
      pass.setBindGroup(
        0,
        device.createBindGroup({ layout: pipeline.getBindGroupLayout(0), entries }),
      );
      pass.dispatchWorkgroups(workgroups);
    };
    this.#slots.forEach(({ uniform, threads }, index) => {
      const parts = [uniform, gradients[index], this.#partials];
      dispatch(norm, parts, Math.ceil(threads / 64), FACTORS_IN_NORM);
    });
    dispatch(control, [this.#partials, ...scalars, this.#control, outputs[0]], 1);
    this.#slots.forEach(({ uniform, size, resident }, index) => {
      dispatch(
        update,
        [uniform, this.#control, gradients[index], ...resident.map((each) => each.buffer)],
        Math.min(MOST_WORKGROUPS, Math.ceil(size / UPDATE_WORKGROUP)),
        FACTORS_IN_UPDATE,
      );
    });
    dispatch(done, [this.#control, outputs[1]], 1);
    pass.end();
    device.queue.submit([encoder.finish()]);
    return { gradNorm, stepDone };
  }

  get dispatches(): number {
    return 2 * this.#slots.length + 2;
  }

  dispose(): void {
    for (const { uniform } of this.#slots) uniform.destroy();
    this.#partials.destroy();
    this.#control.destroy();
  }
}
