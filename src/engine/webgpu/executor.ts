/**
 * Training on the graphics processor: tfjs's WebGPU backend on a device of our own, used as a kernel library and
 * buffer pool only. Our own WGSL runs what is hot on the same queue.
 */
import { WebGPUBackend } from '@tensorflow/tfjs-backend-webgpu';
import { env } from '@tensorflow/tfjs-core';
import { AppError, invariant } from '../../core/errors';
import type { Graph, Tensor } from '../../onnx/graph';
import { expandOps } from '../../ops/expand-graph';
import { openDevice } from '../device';
import type { GpuDevice } from '../device';
import type { CompileOptions, Executor, Program, State, StateSpec } from '../executor';
import type { Tensors } from '../evaluate';
import { evaluateWebgpu } from './evaluate';
import { loweringOf } from './lowerings';
import { WebgpuProgram } from './program';
import { WebgpuState } from './state';

/** Changes whenever a kernel changes the order of its sums, so that a run is not resumed on other arithmetic. */
const KERNELS = 4;

export class WebgpuExecutor implements Executor {
  readonly name = 'webgpu';
  readonly planId: string;
  readonly lost: Promise<string>;
  readonly gpu: GpuDevice;
  readonly #backend: WebGPUBackend;

  constructor(gpu: GpuDevice) {
    // Small operands computed on the CPU would round differently, and cost a read-back.
    env().set('WEBGPU_CPU_FORWARD', false);
    this.gpu = gpu;
    this.lost = gpu.lost;
    this.#backend = new WebGPUBackend(gpu.device, gpu.info);
    this.planId = `webgpu/tfjs-4.22.0/kernels-${KERNELS}/${gpu.software ? 'direct' : 'tiled'}`;
  }

  /** Tensors that the backend holds now; constant from step to step. */
  get liveTensors(): number {
    return this.#backend.numDataIds();
  }

  createState(specs: readonly StateSpec[]): Promise<State> {
    return Promise.resolve(new WebgpuState(this.#backend, this.gpu, specs));
  }

  async compile(graph: Graph, state: State, options: CompileOptions): Promise<Program> {
    invariant(state instanceof WebgpuState, 'A Program and its State must be of one executor.');
    return WebgpuProgram.compile({
      backend: this.#backend,
      gpu: this.gpu,
      graph: expandOps(graph, (node) => loweringOf(node) !== undefined),
      state,
      options,
    });
  }

  evaluate(graph: Graph, inputs: Tensors): Promise<Map<string, Tensor>> {
    return evaluateWebgpu(this.#backend, this.gpu, graph, inputs);
  }

  dispose(): void {
    this.#backend.dispose();
    this.gpu.close();
  }
}

/** Throws `engine/no-webgpu` where there is no WebGPU; ask the probe first. */
export async function createWebgpuExecutor(): Promise<WebgpuExecutor> {
  const gpu = await openDevice();
  if (gpu === null) {
    throw new AppError(
      'engine/no-webgpu',
      'This browser offers no graphics processor to programs. Train on the processor instead.',
    );
  }
  return new WebgpuExecutor(gpu);
}
