/**
 * Batches travel from the data worker to the train worker over one MessagePort. The consumer owns `credits`: it
 * sends a request for each buffer set it can hold (two or three in flight); the producer answers each with one
 * batch, transferring the buffers, and the consumer gives them back with the next request. No shared memory.
 *
 * Rows are shuffled by Philox per epoch. Training batches are always full: the tail is filled with real rows of
 * the next permutation at weight 0. Evaluation batches (`validation`) come in row order, tail padded likewise.
 */
export interface BatchRequest {
  readonly type: 'next';
  readonly part: 'train' | 'validation';
  readonly epoch: number;
  /** Index of the batch within its epoch: a cursor, so resuming needs no replay. */
  readonly index: number;
  /** Buffers given back for reuse, or null on the first requests. */
  readonly recycle: readonly [ArrayBuffer, ArrayBuffer, ArrayBuffer] | null;
  /** False: labels, weights and rows only; `features` of the answer is then empty. */
  readonly features?: false;
}

export interface BatchMessage {
  readonly type: 'batch';
  readonly part: 'train' | 'validation';
  readonly epoch: number;
  readonly index: number;
  /** float32 [batch, ...featureDims]; no bytes where the request wanted none. */
  readonly features: ArrayBuffer;
  /** classification: int32 [batch]; regression: float32 [batch], standardised by the recipe's target. */
  readonly labels: ArrayBuffer;
  /** float32 [batch]: class weights times 0 for filling. */
  readonly weights: ArrayBuffer;
  /** Dataset row of each example, for "hardest now". */
  readonly rows: Uint32Array;
}

export interface BatchFailure {
  readonly type: 'failure';
  readonly error: {
    readonly code: string;
    readonly message: string;
    readonly data: Readonly<Record<string, unknown>>;
  };
}

export type BatchReply = BatchMessage | BatchFailure;
