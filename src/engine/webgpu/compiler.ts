/** What of the executor its parts need: from a graph to a program, in one step or in two. */
import type { Graph } from '../../onnx/graph';
import type { GpuDevice } from '../device';
import type { CompileOptions, State, StateSpec } from '../executor';
import type { Variants } from '../plan/kernels';
import type { StepPlan } from '../plan/step-plan';
import type { StepProgram } from './step-program';

export interface StepCompiler {
  readonly gpu: GpuDevice;
  createState(specs: readonly StateSpec[]): Promise<State>;
  compile(graph: Graph, state: State, options: CompileOptions): Promise<StepProgram>;
  /** The plan of a graph on this device, before anything is made there. */
  plan(graph: Graph, state: State, options: CompileOptions, variants?: Variants): StepPlan;
  /** Buffers and pipelines of a plan. */
  realise(plan: StepPlan, state: State, options: CompileOptions): Promise<StepProgram>;
}
