/** One training step, measured kernel by kernel: what the Profile panel shows and a trace file holds. */

export interface ProfiledKernel {
  /** What it does, as operators joined by ` + ` in the order of their work. */
  readonly label: string;
  /** Names of the training graph's nodes whose work it does; fused nodes are all named. */
  readonly nodes: readonly string[];
  /** Names of the model's nodes that these belong to, by `origin` of the graph's nodes; absent where they are `nodes`. */
  readonly origins?: readonly string[];
  readonly phase: 'forward' | 'backward' | 'update';
  /** Time on the device; 0 where it is shorter than the device's clock tells apart. */
  readonly micros: number;
  /** Bytes of the values that it reads and writes, each counted once. */
  readonly bytesRead: number;
  readonly bytesWritten: number;
  readonly workgroups: number;
  readonly workgroupSize: number;
}

export type MemoryKind = 'state' | 'gradient' | 'activation' | 'feed' | 'constant';

/** A stretch of device memory and the kernels between which its value lives (numbers in `kernels`, inclusive). */
export interface ProfiledBuffer {
  readonly name: string;
  readonly kind: MemoryKind;
  readonly bytes: number;
  /** Byte in the arena; null where it has memory of its own. */
  readonly offset: number | null;
  readonly from: number;
  readonly to: number;
}

export interface StepProfile {
  readonly executor: string;
  /** Name of the device for a person. */
  readonly device: string;
  readonly planId: string;
  /** `timestamps`: by the device's own clock; `wall`: each kernel awaited, which adds the waiting. */
  readonly clock: 'timestamps' | 'wall';
  /** From the first call of the step until its results could be read. */
  readonly stepMicros: number;
  readonly kernels: readonly ProfiledKernel[];
  readonly memory: readonly ProfiledBuffer[];
  /** Memory that the step's intermediate values share, in bytes. */
  readonly arenaBytes: number;
  readonly counts: {
    readonly dispatches: number;
    readonly passes: number;
    readonly submits: number;
    readonly uploadedBytes: number;
  };
}

/** Several steps of one training as one. */
export interface RunProfile {
  /** So many were timed; each time is what is typical of them. */
  readonly steps: number;
  readonly step: StepProfile;
  /** Where a step is made of several micro-batches: how many. `step` is then one of them, without the update. */
  readonly microBatches?: number;
  /** Names of the model's own nodes, as its file will have them; other origins belong to the loss and the update. */
  readonly modelNodes: readonly string[];
}
