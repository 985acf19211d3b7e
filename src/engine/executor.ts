/**
 * The one interface behind which training runs. State is canonical on every executor: float32, ONNX layout and
 * names, moments `<weight>/m` and `<weight>/v`; so a checkpoint moves between executors. Several Programs
 * (train, validate, adapters) share one State. Changing this file needs a decision record.
 */
import type { Graph, Tensor } from '../onnx/graph';
import type { StepProfile } from '../protocol/profile';

export type ExecutorName = 'webgpu' | 'wasm' | 'reference';
/** What values between weights and gradients are stored and multiplied in; weights and moments are float32 always. */
export type Precision = 'float32' | 'float16';
/** `fixed`: kernels by rule, so that every run has the same; `tuned`: those that were fastest on this device. */
export type PlanChoice = 'fixed' | 'tuned';

export interface StateSpec {
  readonly name: string;
  readonly dims: readonly number[];
}

export interface State {
  readonly specs: readonly StateSpec[];
  read(names?: readonly string[]): Promise<Map<string, Float32Array>>;
  write(values: ReadonlyMap<string, Float32Array>): Promise<void>;
  /** A copy kept beside the live values on the device, for the best weights so far. */
  snapshot(): Promise<void>;
  restore(): Promise<void>;
  dispose(): void;
}

export type Feed = Float32Array | Int32Array;
export type Feeds = ReadonlyMap<string, Feed>;

/** Result of one step. Reading waits for the device; not reading costs nothing. */
export interface Ticket {
  read(): Promise<Map<string, Float32Array>>;
  /** Resolves when the step is done, for less than a reading. Absent where reading is all there is to wait for. */
  done?(): Promise<void>;
}

export interface CompileOptions {
  /** State entry -> graph output whose value replaces it when the step is done. */
  readonly updates: ReadonlyMap<string, string>;
  /** Graph outputs that a Ticket can read. */
  readonly outputs: readonly string[];
  /** One of the executor's `precisions`; float32 where it is not given. */
  readonly precision?: Precision;
  /** One of the executor's `plans`; fixed where it is not given. */
  readonly plan?: PlanChoice;
  /** Hears how many of the kernels are ready, where compiling them takes time. */
  readonly onProgress?: (done: number, total: number) => void;
}

export interface Program {
  /** Where it is not the executor's own: precision and tuned kernels are the Program's. */
  readonly planId?: string;
  /**
   * Feeds every graph input that is not in the State; the arrays may be used again when it returns. Steps run in
   * the order of the calls.
   */
  step(feeds: Feeds): Ticket;
  /** An ordinary step, bit-equal to `step`, whose kernels are timed one by one. Absent where it cannot be. */
  profile?(feeds: Feeds): Promise<{ readonly ticket: Ticket; readonly profile: StepProfile }>;
  readonly stats: Readonly<Record<string, number>>;
  dispose(): void;
}

export interface Executor {
  readonly name: ExecutorName;
  /** Kernel variants, threads and layout: equal ids on one device and build mean bit-equal runs. */
  readonly planId: string;
  /** What `compile` can be asked for; absent: float32 and fixed alone. */
  readonly precisions?: readonly Precision[];
  readonly plans?: readonly PlanChoice[];
  /** Resolves with a sentence when the device is gone; later calls do nothing useful. */
  readonly lost: Promise<string>;
  createState(specs: readonly StateSpec[]): Promise<State>;
  compile(graph: Graph, state: State, options: CompileOptions): Promise<Program>;
  /**
   * Outputs of any graph for these inputs, of every element type, without State; lengths that the graph leaves
   * open become those of the inputs. For a graph that runs once: Programs are for those that run often.
   */
  evaluate(graph: Graph, inputs: ReadonlyMap<string, Tensor>): Promise<Map<string, Tensor>>;
  /** Loses the device on purpose, as a driver would. Absent where there is none to lose. */
  lose?(): void;
  dispose(): void;
}
