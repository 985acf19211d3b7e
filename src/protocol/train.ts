/** What the page asks of the train worker, which owns the device, and what it hears of a run. */
import type {
  DataFinding,
  Divergence,
  ExecutorName,
  FittedRecipe,
  Id,
  LoopState,
  MetricPoint,
  ModelSignature,
  Run,
  RunConfig,
  SkippedSteps,
  SplitPart,
} from './entities';
import type { BaseOf } from './fine-tune';
import type { DeviceLimits, MemoryEstimate } from './memory';
import type { PretrainedTrainApi } from './pretrained';
import type { RunProfile } from './profile';
import type { OnProgress, Progress } from './progress';

export interface Prepared {
  readonly recipe: FittedRecipe;
  readonly parts: Readonly<Record<SplitPart, number>>;
  readonly classCounts: readonly number[];
  readonly findings: readonly DataFinding[];
}

export interface TrainApi extends PretrainedTrainApi {
  connectStore(port: MessagePort): void;
  /** Measures what this computer offers; remembered by the page. */
  probe(onProgress: OnProgress): Promise<ProbeReport>;
  /** What a run would take of memory; opens no device. `run` refuses what does not fit with `training/memory`. */
  estimate(request: EstimateMemoryRequest): Promise<MemoryEstimate>;
  /**
   * Trains until done, paused, stopped or failed, and resolves with the finished record. The State is read and
   * checkpointed through the store; `batches` is the data worker's port. `resume` continues from the checkpoint.
   */
  run(
    request: TrainRequest,
    batches: MessagePort,
    onEvent: (event: TrainEvent) => void,
  ): Promise<TrainOutcome>;
  pause(runId: Id): void;
  resume(runId: Id): void;
  /** Ends after the step under way and keeps the best weights so far. */
  stop(runId: Id): void;
  /** Takes a checkpoint after the step under way: the tab may not be there much longer. */
  checkpoint(runId: Id): void;
  /** The checkpoint that found no room in the store, as a safetensors file; null where there is none. */
  unsavedCheckpoint(runId: Id): ArrayBuffer | null;
  /**
   * Does harm on purpose, for whoever wants to see what happens then: destroys the graphics device of the run under
   * way, or never returns. False where there is no device to lose.
   */
  drill(harm: 'lose-device' | 'hang'): boolean;
  /** Times the kernels of the next `steps` steps of the run; `profile` events tell of it. */
  profile(runId: Id, steps: number): void;
  /**
   * The same without a run: so many first steps, of which nothing is kept. `stop` ends it early; null where it ended
   * before the first step. Throws `training/no-profile` where the executor cannot time its kernels.
   */
  profileAlone(
    request: Pick<TrainRequest, 'runId' | 'config' | 'prepared' | 'executor'>,
    steps: number,
    batches: MessagePort,
    onEvent: (event: TrainEvent) => void,
  ): Promise<RunProfile | null>;
}

export interface EstimateMemoryRequest {
  readonly config: RunConfig;
  readonly prepared: Prepared;
  readonly executor: ExecutorName;
  /** What the executor will compute in. */
  readonly precision: NonNullable<Run['precision']>;
  /** Of the graphics processor, where it was measured. */
  readonly limits: DeviceLimits | null;
  /** Executors that may be proposed instead. */
  readonly others: readonly ExecutorName[];
}

export interface TrainRequest {
  readonly runId: Id;
  readonly config: RunConfig;
  readonly prepared: Prepared;
  readonly executor: ExecutorName;
  readonly resume: boolean;
  readonly checkpointEverySeconds: number;
  /** The rule baseline: no steps; the model always answers the commonest class, or the mean. */
  readonly constant?: boolean;
}

export type TrainEvent =
  | { readonly type: 'phase'; readonly progress: Progress }
  | {
      readonly type: 'started';
      readonly planId: string;
      readonly label: string;
      readonly graphHash: string;
      readonly stepsTotal: number;
      readonly weights: number;
      /** Whether `profile` does anything: the executor can time its kernels. */
      readonly canProfile: boolean;
      readonly precision?: Run['precision'];
      readonly microBatch?: Run['microBatch'];
      /** Where it goes on from a checkpoint: after which step, on what that was made, and the curve until there. */
      readonly resumed?: {
        readonly step: number;
        readonly executor: ExecutorName;
        readonly planId: string;
        readonly curve: readonly MetricPoint[];
      };
    }
  | {
      readonly type: 'points';
      readonly points: readonly MetricPoint[];
      readonly step: number;
      readonly secondsLeft: number;
      readonly examplesPerSecond: number;
      readonly stepMs: number;
      readonly skipped?: SkippedSteps;
    }
  | {
      readonly type: 'hardest';
      readonly examples: readonly {
        readonly row: number;
        readonly actual: number;
        readonly predicted: number;
        readonly loss: number;
      }[];
    }
  | { readonly type: 'checkpoint'; readonly step: number }
  /** So many of the wanted steps are profiled; the last one brings the result. */
  | {
      readonly type: 'profile';
      readonly done: number;
      readonly of: number;
      readonly profile: RunProfile | null;
    }
  /** `preparing` while something is compiled, which the phases name. */
  | { readonly type: 'state'; readonly state: 'preparing' | 'running' | 'paused' }
  /** A checkpoint found no room. The run holds still with all it knows in memory, and tries again by itself. */
  | { readonly type: 'full'; readonly step: number; readonly reason: string }
  /** There was room again. */
  | { readonly type: 'room'; readonly step: number }
  /** The device is gone, and the run fails with `engine/device-lost`. Its checkpoint stands. */
  | { readonly type: 'lost'; readonly reason: string; readonly step: number };

export interface TrainOutcome {
  readonly status: 'done' | 'stopped';
  /** The finished forward graph with recipe inside, as a `.onnx` file. Transferred. */
  readonly model: ArrayBuffer;
  readonly graphHash: string;
  readonly signature: ModelSignature;
  readonly weights: number;
  /** The adapters and the head of a LoRA run, as safetensors. Transferred. */
  readonly adapter: ArrayBuffer | null;
  readonly base: BaseOf | null;
  readonly loop: LoopState;
  readonly stepsDone: number;
  readonly seconds: number;
  readonly examplesPerSecond: number;
  readonly best: NonNullable<Run['best']>;
  readonly divergence?: Divergence;
}

export interface ProbeReport {
  readonly chosen: ExecutorName;
  /** One sentence a person understands. */
  readonly reason: string;
  readonly webgpu: {
    readonly label: string;
    readonly gflops: number;
    readonly stepMs: number;
    readonly software: boolean;
    /** What it can be asked for; absent in what was measured before this was. */
    readonly limits?: DeviceLimits;
    readonly precisions?: readonly NonNullable<Run['precision']>[];
    readonly plans?: readonly NonNullable<RunConfig['training']['plan']>[];
  } | null;
  readonly wasm: { readonly threads: number; readonly gflops: number; readonly stepMs: number };
}
