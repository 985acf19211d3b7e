/**
 * Compiled kernels of an executor. Their source is the key, so a graph that is compiled again (the next run, a
 * validation beside a training) finds its kernels ready; the oldest go when there are very many.
 */
import { AppError } from '../../core/errors';
import type { GpuDevice } from '../device';
import type { PlannedDispatch, StepPlan } from '../plan/step-plan';
import { deviceLost } from './read';

const MOST_KEPT = 2048;

interface Layouts {
  readonly group: GPUBindGroupLayout;
  readonly pipeline: GPUPipelineLayout;
}

export class Pipelines {
  readonly #gpu: GpuDevice;
  readonly #layouts = new Map<string, Layouts>();
  readonly #pipelines = new Map<string, Promise<GPUComputePipeline>>();

  constructor(gpu: GpuDevice) {
    this.#gpu = gpu;
  }

  /** How a plan's buffers are bound; plans of as many buffers share it. */
  layouts({ buffers }: StepPlan, writesState: boolean): Layouts {
    const types = buffers.map(({ name, writable }): GPUBufferBindingType =>
      writable || (writesState && name === 'state') ? 'storage' : 'read-only-storage',
    );
    const key = types.join();
    const known = this.#layouts.get(key);
    if (known) return known;
    const { device } = this.#gpu;
    const group = device.createBindGroupLayout({
      entries: types.map((type, binding) => ({
        binding,
        visibility: GPUShaderStage.COMPUTE,
        buffer: { type },
      })),
    });
    const made = { group, pipeline: device.createPipelineLayout({ bindGroupLayouts: [group] }) };
    this.#layouts.set(key, made);
    return made;
  }

  /** @throws AppError `engine/gpu` with the kernel's name where the device refuses it */
  compile(plan: StepPlan, kernel: PlannedDispatch): Promise<GPUComputePipeline> {
    const key = `${plan.buffers.length} ${kernel.writesState} ${kernel.firstGroup}\n${kernel.code}`;
    const known = this.#pipelines.get(key);
    // Asked for last, kept longest.
    if (known) this.#pipelines.delete(key);
    const pipeline = known ?? this.#compile(plan, kernel);
    this.#pipelines.set(key, pipeline);
    const [oldest] = this.#pipelines.keys();
    if (oldest !== undefined && this.#pipelines.size > MOST_KEPT) this.#pipelines.delete(oldest);
    return pipeline;
  }

  async #compile(plan: StepPlan, kernel: PlannedDispatch): Promise<GPUComputePipeline> {
    const { device } = this.#gpu;
    // The pipeline's refusal tells; the module's own error would count as one of whatever runs next.
    device.pushErrorScope('validation');
    const module = device.createShaderModule({ label: kernel.label, code: kernel.code });
    const refusal = device.popErrorScope();
    try {
      const pipeline = await device.createComputePipelineAsync({
        label: kernel.label,
        layout: this.layouts(plan, kernel.writesState).pipeline,
        compute: {
          module,
          entryPoint: 'main',
          ...(kernel.firstGroup !== undefined && {
            constants: { first_group: kernel.firstGroup },
          }),
        },
      });
      await refusal;
      return pipeline;
    } catch (cause) {
      if (this.#gpu.isLost()) throw deviceLost();
      const { messages } = await module.getCompilationInfo();
      const lines = messages.map(({ lineNum, message }) => `line ${lineNum}: ${message}`);
      const own = cause instanceof Error ? cause.message : String(cause);
      const detail = lines.length > 0 ? lines.join('; ') : own;
      throw new AppError(
        'engine/gpu',
        `The graphics processor refused the kernel "${kernel.label}": ${detail}`,
        { detail, kernel: kernel.label, nodes: kernel.nodes },
        cause,
      );
    }
  }
}
