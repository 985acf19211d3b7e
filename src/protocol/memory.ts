/** What a run will take of memory, told before it begins. All figures in bytes. */
import type { ExecutorName } from './entities';

export interface MemoryEstimate {
  readonly executor: ExecutorName;
  /** All of it together. */
  readonly total: number;
  /** Values between weights and gradients, of all programs of the run. */
  readonly arena: number;
  /** Weights, running statistics, moments, and sums of gradients. */
  readonly state: number;
  /** The best weights so far, kept beside the others. */
  readonly snapshot: number;
  /** Batches on the device, and what it answers. */
  readonly feeds: number;
  /** Numbers of the graph itself: all of a body that does not learn. */
  readonly constants: number;
  /** Of all this, the largest piece that cannot be divided. */
  readonly largest: number;
  /** What the executor can hold: in one piece, or in all. Null where nothing tells. */
  readonly limit: { readonly of: 'piece' | 'total'; readonly bytes: number } | null;
  readonly fits: boolean;
  /** What would fit instead, the least change first; empty where it fits. */
  readonly remedies: readonly MemoryRemedy[];
}

export type MemoryRemedy =
  | {
      readonly kind: 'accumulate';
      readonly accumulate: number;
      readonly rows: number;
      readonly total: number;
    }
  | { readonly kind: 'batch'; readonly batchSize: number; readonly total: number }
  | { readonly kind: 'executor'; readonly executor: ExecutorName; readonly total: number };

/** What is known of the graphics processor without opening it. */
export interface DeviceLimits {
  /** Most bytes of one piece of its memory. WebGPU does not tell how much there is in all. */
  readonly pieceBytes: number;
}
