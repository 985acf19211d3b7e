/**
 * Training on the graphics processor: a graph becomes a step plan (engine/plan), which this device replays with our
 * own kernels; tfjs runs the few operators that have none.
 */
import { AppError, invariant } from '../../core/errors';
import type { Graph, Tensor } from '../../onnx/graph';
import { openDevice } from '../device';
import type { GpuDevice } from '../device';
import type { CompileOptions, Executor, State, StateSpec } from '../executor';
import type { Tensors } from '../evaluate';
import { planStep } from '../plan/compile';
import type { Variants } from '../plan/kernels';
import { expandForPlan } from '../plan/lowerings';
import type { ColdKernels } from './cold';
import { DeviceMemory } from './device-memory';
import { evaluateWebgpu } from './evaluate';
import { FlatState } from './flat-state';
import { StagingPool } from './read';
import { StepProgram } from './step-program';
import { bindingBytes, traitsOf } from './traits';

/** Changes whenever a kernel changes the order of its sums, so that a run is not resumed on other arithmetic. */
const KERNELS = 5;

export interface WebgpuSettings {
  /** Kernels to take instead of those that the fixed rules choose, where a lowering knows several. */
  readonly variants?: Variants;
}

export class WebgpuExecutor implements Executor {
  readonly name = 'webgpu';
  readonly planId: string;
  readonly precisions = ['float32', 'float16'] as const;
  readonly lost: Promise<string>;
  readonly gpu: GpuDevice;
  readonly memory: DeviceMemory;
  readonly #staging: StagingPool;
  readonly #settings: WebgpuSettings;
  #cold: Promise<ColdKernels> | undefined;

  constructor(gpu: GpuDevice, settings: WebgpuSettings = {}) {
    this.gpu = gpu;
    this.lost = gpu.lost;
    this.memory = new DeviceMemory(gpu.device);
    this.#staging = new StagingPool(this.memory);
    this.#settings = settings;
    this.planId = `webgpu/kernels-${KERNELS}/${gpu.software ? 'software' : 'hardware'}`;
  }

  createState(specs: readonly StateSpec[]): Promise<State> {
    return Promise.resolve(new FlatState(this.gpu, this.memory, this.#staging, specs));
  }

  async compile(graph: Graph, state: State, options: CompileOptions): Promise<StepProgram> {
    invariant(state instanceof FlatState, 'A Program and its State must be of one executor.');
    const traits = traitsOf(this.gpu);
    const { variants } = this.#settings;
    const plan = planStep({
      graph: expandForPlan(graph, traits),
      state: state.layout,
      options,
      traits,
      bindingBytes: bindingBytes(this.gpu),
      ...(variants && { variants }),
    });
    return StepProgram.compile({
      gpu: this.gpu,
      plan,
      planId:
        options.precision === 'float16'
          ? `${this.planId}/float16-${traits.float16 ? 'native' : 'packed'}`
          : this.planId,
      state,
      memory: this.memory,
      staging: this.#staging,
      cold: () =>
        (this.#cold ??= import('./cold').then(({ ColdKernels }) => new ColdKernels(this.gpu))),
      ...(options.onProgress && { onProgress: options.onProgress }),
    });
  }

  evaluate(graph: Graph, inputs: Tensors): Promise<Map<string, Tensor>> {
    return evaluateWebgpu(this, graph, inputs);
  }

  dispose(): void {
    this.#staging.dispose();
    void this.#cold?.then((cold) => cold.dispose());
    this.gpu.close();
  }
}

/** Throws `engine/no-webgpu` where there is no WebGPU; ask the probe first. */
export async function createWebgpuExecutor(settings: WebgpuSettings = {}): Promise<WebgpuExecutor> {
  const gpu = await openDevice();
  if (gpu === null) {
    throw new AppError(
      'engine/no-webgpu',
      'This browser offers no graphics processor to programs. Train on the processor instead.',
    );
  }
  return new WebgpuExecutor(gpu, settings);
}
