import { permutation } from '../../src/core/philox';
import type { Batch, BatchCursor, BatchSource } from '../../src/training/batch-source';

export interface Rows {
  readonly features: readonly (readonly number[])[];
  readonly labels: readonly number[];
}

/** Batches from arrays, shuffled as the data worker does it; counts what is out and never given back. */
export class InMemoryBatches implements BatchSource {
  held = 0;
  disposed = false;
  readonly asked: BatchCursor[] = [];
  readonly #parts: Readonly<Record<'train' | 'validation', Rows>>;
  readonly #batchSize: number;
  readonly #regression: boolean;

  constructor(
    parts: Readonly<Record<'train' | 'validation', Rows>>,
    batchSize: number,
    regression = false,
  ) {
    this.#parts = parts;
    this.#batchSize = batchSize;
    this.#regression = regression;
  }

  async next(cursor: BatchCursor): Promise<Batch> {
    this.asked.push(cursor);
    this.held++;
    const { features, labels } = this.#parts[cursor.part];
    const count = features.length;
    const order =
      cursor.part === 'train'
        ? permutation(count, 7, 'shuffle', cursor.epoch)
        : Uint32Array.from({ length: count }, (_, index) => index);
    const batch = this.#batchSize;
    const picked = Array.from({ length: batch }, (_, i) => cursor.index * batch + i);
    const rows = Uint32Array.from(picked, (at) => order[at % count] ?? 0);
    const values = Array.from(rows, (row) => labels[row] ?? 0);
    return {
      ...cursor,
      features: Float32Array.from([...rows].flatMap((row) => features[row] ?? [])),
      labels: this.#regression ? Float32Array.from(values) : Int32Array.from(values),
      weights: Float32Array.from(picked, (at) => (at < count ? 1 : 0)),
      rows,
    };
  }

  release(): void {
    this.held--;
  }

  dispose(): void {
    this.disposed = true;
  }
}
