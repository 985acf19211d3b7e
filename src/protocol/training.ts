/** How a model is taught: the part of a run's configuration that is not about data or architecture. */

export type OptimiserConfig =
  | { readonly kind: 'sgd'; readonly momentum: number }
  | {
      readonly kind: 'adam';
      readonly beta1: number;
      readonly beta2: number;
      readonly epsilon: number;
    }
  | {
      readonly kind: 'adamw';
      readonly beta1: number;
      readonly beta2: number;
      readonly epsilon: number;
      readonly weightDecay: number;
    }
  | {
      readonly kind: 'lion';
      readonly beta1: number;
      readonly beta2: number;
      readonly weightDecay: number;
    };

export interface ScheduleConfig {
  readonly kind: 'constant' | 'cosine';
  /** Share of all steps spent rising linearly from 0. */
  readonly warmup: number;
}

export interface AugmentConfig {
  /** Largest shift in pixels, rotation in degrees, and zoom as a fraction (0.1 = 0.9 to 1.1). */
  readonly shift: number;
  readonly rotate: number;
  readonly zoom: number;
  /** Left and right changed at random. Wrong for letters and digits. */
  readonly flip?: boolean;
  /** Largest change of all levels (0.2 = up to a fifth lighter or darker), and of their distance from the middle. */
  readonly brightness?: number;
  readonly contrast?: number;
}

export interface TrainingConfig {
  readonly epochs: number;
  readonly batchSize: number;
  readonly learningRate: number;
  readonly optimiser: OptimiserConfig;
  readonly schedule: ScheduleConfig;
  /** Global gradient norm above which gradients are scaled down; 0 for none. */
  readonly clipNorm: number;
  readonly loss: 'softmax-ce' | 'bce' | 'mse' | 'huber';
  readonly classWeights: 'none' | 'balanced';
  /** Epochs without a better validation loss before stopping; 0 for never. */
  readonly patience: number;
  readonly augment: AugmentConfig | null;
  /** Stop at the end of the epoch that passes this many seconds; null for no limit. Not repeatable when it bites. */
  readonly maxSeconds: number | null;
  /** Equal parts in which a batch goes through the model, to take less memory; 1 where absent. */
  readonly accumulate?: number;
  /**
   * What is kept of the forward pass: all of it, or at most so many bytes, and the rest is computed twice. `auto`,
   * where absent, keeps what a graphics processor usually has room for.
   */
  readonly memory?: 'auto' | 'full' | number;
  /** float32 where absent. An executor without float16 uses float32; the Run says which it was. */
  readonly precision?: 'float32' | 'float16';
  /** Only of float16: the loss scale to begin with, a power of 2; 65536 where absent. */
  readonly lossScale?: number;
  /** Kernels by rule, or the fastest by trial on this device; `fixed` where absent. */
  readonly plan?: 'fixed' | 'tuned';
}

/** Steps whose gradient overflowed, so that they changed nothing. Absent where there was none and no loss scale. */
export interface SkippedSteps {
  readonly count: number;
  /** Their 1-based numbers, at most the last 100. */
  readonly steps: readonly number[];
  /** By which the next step's loss is scaled; null in float32. */
  readonly lossScale: number | null;
  /** How many of the last steps, without a good one between; 0 where absent. */
  readonly inRow?: number;
}
