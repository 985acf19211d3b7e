/** What the training loop is given and what it gives back. */
import type { Program, State } from '../engine/executor';
import type { TrainEvent } from '../protocol/api';
import type { Divergence, LoopState, Run, TrainingConfig } from '../protocol/entities';
import type { BatchSource } from './batch-source';
import type { RunControl } from './control';
import type { Reading } from './validation';

export type Tensors = Map<string, Float32Array>;

/** Where a run stands at the end of a step: enough to go on from there, anywhere. */
export interface LoopCheckpoint {
  readonly step: number;
  readonly epoch: number;
  readonly state: Tensors;
  readonly best: Tensors | null;
  readonly loop: LoopState;
}

export interface LoopRequest {
  readonly training: TrainingConfig;
  readonly seed: number;
  /** Rows of the two parts that training may see. */
  readonly rows: { readonly train: number; readonly validation: number };
  readonly reading: Reading;
  readonly state: State;
  readonly train: Program;
  /** Where a step is made of several: what each micro-batch runs before `train` ends the step. */
  readonly micro?: Program | null;
  readonly validate: Program;
  /** Learning rate of a step, by its 1-based number. */
  readonly learningRate: (step: number) => number;
  /** Feeds that change with the 0-based epoch: shares of the learning rate. */
  readonly rates?: (epoch: number) => ReadonlyMap<string, Float32Array>;
  readonly batches: BatchSource;
  readonly control: RunControl;
  /** Resolves when the device is gone. */
  readonly lost: Promise<string>;
  /** For the diagnosis where the numbers run away: columns that reach the model unscaled. */
  readonly unscaled?: Divergence['unscaled'];
  readonly checkpoint: {
    /** At the latest; sooner where saving takes little. */
    readonly everySeconds: number;
    readonly save: (checkpoint: LoopCheckpoint) => Promise<void>;
  } | null;
  readonly resumeFrom: LoopCheckpoint | null;
  /** Seconds that went by before the first step because a frozen body looked at the rows. They count as the run's. */
  readonly lookingSeconds?: number;
}

export interface LoopSummary {
  readonly status: 'done' | 'stopped';
  readonly loop: LoopState;
  readonly stepsDone: number;
  readonly seconds: number;
  readonly examplesPerSecond: number;
  readonly best: NonNullable<Run['best']>;
  /** The State with the best weights. */
  readonly state: Tensors;
  /** Where the numbers ran away and the best weights before that are the result. */
  readonly divergence?: Divergence;
}

export type LoopEvent = Extract<
  TrainEvent,
  { type: 'points' | 'hardest' | 'checkpoint' | 'state' | 'profile' | 'lost' | 'full' | 'room' }
>;
