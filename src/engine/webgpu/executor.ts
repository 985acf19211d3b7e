/**
 * Training on the graphics processor: a graph becomes a step plan (engine/plan), which this device replays with our
 * own kernels; tfjs runs the few operators that have none.
 */
import { AppError, invariant } from '../../core/errors';
import { hashJson } from '../../core/hash';
import type { Graph, Tensor } from '../../onnx/graph';
import { openDevice } from '../device';
import type { GpuDevice } from '../device';
import type { CompileOptions, Executor, PlanChoice, State, StateSpec } from '../executor';
import type { Tensors } from '../evaluate';
import { planStep } from '../plan/compile';
import type { Variants } from '../plan/kernels';
import { expandForPlan } from '../plan/lowerings';
import type { StepPlan } from '../plan/step-plan';
import type { ColdKernels } from './cold';
import type { StepCompiler } from './compiler';
import { DeviceMemory } from './device-memory';
import { evaluateWebgpu } from './evaluate';
import { FlatState } from './flat-state';
import { Pipelines } from './pipelines';
import { StagingPool } from './read';
import { StepProgram } from './step-program';
import { bindingBytes, traitsOf } from './traits';
import { keyOf, openChoices, tune } from './tuner';
import type { TuningMemory } from './tuner';

/** Changes whenever a kernel changes the order of its sums, so that a run is not resumed on other arithmetic. */
const KERNELS = 5;
/** Tuning of one graph takes no longer than this and its last variant. */
const TUNING_MS = 8000;

export interface WebgpuSettings {
  /** Kernels to take instead of those that the fixed rules choose, where a lowering knows several. */
  readonly variants?: Variants;
  readonly tuningMemory?: TuningMemory;
}

export class WebgpuExecutor implements Executor, StepCompiler {
  readonly name = 'webgpu';
  readonly planId: string;
  readonly precisions = ['float32', 'float16'] as const;
  readonly plans: readonly PlanChoice[];
  readonly lost: Promise<string>;
  readonly gpu: GpuDevice;
  readonly memory: DeviceMemory;
  readonly #staging: StagingPool;
  readonly #pipelines: Pipelines;
  readonly #settings: WebgpuSettings;
  #known: Map<string, string> | undefined;
  #cold: Promise<ColdKernels> | undefined;

  constructor(gpu: GpuDevice, settings: WebgpuSettings = {}) {
    this.gpu = gpu;
    this.lost = gpu.lost;
    // An emulated GPU takes up to minutes to compile kernels that are made for others.
    this.plans = gpu.software ? ['fixed'] : ['fixed', 'tuned'];
    this.memory = new DeviceMemory(gpu.device);
    this.#staging = new StagingPool(this.memory);
    this.#pipelines = new Pipelines(gpu);
    this.#settings = settings;
    this.planId = `webgpu/kernels-${KERNELS}/${gpu.software ? 'software' : 'hardware'}`;
  }

  createState(specs: readonly StateSpec[]): Promise<State> {
    return Promise.resolve(new FlatState(this.gpu, this.memory, this.#staging, specs));
  }

  async compile(graph: Graph, state: State, options: CompileOptions): Promise<StepProgram> {
    const fixed = this.plan(graph, state, options, this.#settings.variants);
    if (options.plan !== 'tuned') return this.realise(fixed, state, options);
    const known = await this.#tunings();
    if (openChoices(fixed, known).size > 0) {
      const { specs } = state;
      const learned = await tune({
        ...{ executor: this, graph, specs, options, known, milliseconds: TUNING_MS },
        ...(options.onProgress && { onProgress: options.onProgress }),
      });
      for (const [key, variant] of learned) known.set(key, variant);
      await this.#settings.tuningMemory?.keep(this.#deviceName, known);
    }
    const tuned = this.plan(graph, state, options, (family, sizes) =>
      known.get(keyOf({ family, sizes })),
    );
    return this.realise(tuned, state, options);
  }

  async #tunings(): Promise<Map<string, string>> {
    this.#known ??= new Map(await this.#settings.tuningMemory?.recall(this.#deviceName));
    return this.#known;
  }

  /** What is measured holds for one adapter and one set of kernels. */
  get #deviceName(): string {
    const { vendor, architecture, device, description } = this.gpu.info;
    return [vendor, architecture, device, description, this.planId].join('|');
  }

  plan(graph: Graph, state: State, options: CompileOptions, variants?: Variants): StepPlan {
    invariant(state instanceof FlatState, 'A Program and its State must be of one executor.');
    const traits = traitsOf(this.gpu);
    return planStep({
      graph: expandForPlan(graph, traits),
      state: state.layout,
      options,
      traits,
      bindingBytes: bindingBytes(this.gpu),
      ...(variants && { variants }),
    });
  }

  async realise(plan: StepPlan, state: State, options: CompileOptions): Promise<StepProgram> {
    invariant(state instanceof FlatState, 'A Program and its State must be of one executor.');
    return StepProgram.compile({
      gpu: this.gpu,
      plan,
      planId: await this.#planIdOf(plan, options),
      state,
      memory: this.memory,
      pipelines: this.#pipelines,
      staging: this.#staging,
      cold: () => {
        this.#cold ??= import('./cold').then(({ ColdKernels }) => new ColdKernels(this.gpu));
        return this.#cold;
      },
      ...(options.onProgress && { onProgress: options.onProgress }),
    });
  }

  /** Every choice that a tuned plan made is part of its name. */
  async #planIdOf({ choices }: StepPlan, { precision, plan }: CompileOptions): Promise<string> {
    const { float16 } = traitsOf(this.gpu);
    const parts = [this.planId];
    if (precision === 'float16') parts.push(`float16-${float16 ? 'native' : 'packed'}`);
    if (plan === 'tuned') {
      const chosen = [...new Set(choices.map((each) => `${keyOf(each)} ${each.chosen}`))].sort();
      parts.push(`tuned-${(await hashJson(chosen)).slice(0, 8)}`);
    }
    return parts.join('/');
  }

  evaluate(graph: Graph, inputs: Tensors): Promise<Map<string, Tensor>> {
    return evaluateWebgpu(this, graph, inputs);
  }

  lose(): void {
    this.gpu.device.destroy();
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
