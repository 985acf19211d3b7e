/**
 * Feature caching: while a part of the model is frozen and pictures are not varied, its answer to a row never
 * changes. So it looks at every row once, and only what stands behind it is trained, on those answers.
 */
import { AppError } from '../core/errors';
import { sizeOf } from '../core/dtype';
import type { Executor } from '../engine/executor';
import type { Graph } from '../onnx/graph';
import type { OnProgress } from '../protocol/api';
import type { Batch, BatchCursor, BatchSource } from './batch-source';
import { Prefetch } from './batch-source';
import type { RunControl } from './control';
import { stepsPerEpoch } from './course';
import { microBatches } from './micro-batch';
import { output } from './validation';

/** Answers in memory at once; a set that needs more is trained through the whole model. */
export const MOST_FEATURE_BYTES = 512 * 2 ** 20;

/** What the frozen part answered to each row. */
export interface FeatureTable {
  /** Numbers for each row. */
  readonly width: number;
  /** Row of the dataset -> its place. */
  readonly places: ReadonlyMap<number, number>;
  readonly values: Float32Array;
}

export interface LookRequest {
  readonly executor: Executor;
  /** Input `features`, one output; its batch axis fixed. */
  readonly frozen: Graph;
  readonly batchSize: number;
  /** Micro-batches of each batch; the graph takes the rows of one. */
  readonly parts?: number;
  readonly rows: { readonly train: number; readonly validation: number };
  /** What a row is called: pictures. */
  readonly noun: string;
  readonly batches: BatchSource;
  readonly control: RunControl;
  readonly onProgress: OnProgress;
}

/** Runs the frozen part over all rows of training and validation. `frozen` has its batch axis fixed. */
export async function lookAtAll(request: LookRequest): Promise<FeatureTable> {
  const { executor, frozen, batchSize, parts = 1, rows, noun } = request;
  const { batches, control, onProgress } = request;
  const [made] = frozen.outputs;
  if (made === undefined) throw new AppError('internal/invariant', 'A frozen part has no output.');
  const width = sizeOf(made.dims.slice(1).map(Number));
  const total = rows.train + rows.validation;
  const values = new Float32Array(total * width);
  const places = new Map<number, number>();
  const state = await executor.createState([]);
  const program = await executor.compile(frozen, state, {
    updates: new Map(),
    outputs: [made.name],
  });
  const told = {
    label: `Looking at ${total.toLocaleString('en')} ${noun}`,
    total,
    unit: 'rows',
  } as const;
  const stream = new Prefetch(batches, cursorsOver(rows, batchSize));
  try {
    for (;;) {
      onProgress({ ...told, done: places.size });
      const batch = await stream.next();
      if (batch === null) break;
      for (const part of microBatches(batch, parts)) {
        const result = await program.step(new Map([['features', part.features]])).read();
        const answers = output(result, made.name);
        part.rows.forEach((row, at) => {
          if (places.has(row)) return;
          values.set(answers.subarray(at * width, (at + 1) * width), places.size * width);
          places.set(row, places.size);
        });
      }
      batches.release(batch);
      await heed(control);
    }
  } finally {
    program.dispose();
    state.dispose();
  }
  return { width, places, values };
}

/** Every row of both parts comes at least once: the first epoch has them all. */
function* cursorsOver(rows: LookRequest['rows'], batchSize: number): Generator<BatchCursor> {
  for (const part of ['train', 'validation'] as const) {
    const count = stepsPerEpoch(rows[part], batchSize);
    for (let index = 0; index < count; index++) yield { part, epoch: 0, index };
  }
}

async function heed(control: RunControl): Promise<void> {
  // Messages arrive only when the event loop turns.
  await new Promise((resolve) => setTimeout(resolve));
  if (control.pauseWanted) await control.untilResumed();
  if (control.stopWanted) {
    throw new AppError(
      'training/stopped',
      'The run was stopped while the body still looked at the data: nothing was learned yet.',
    );
  }
}

/** Batches whose features are the frozen part's answers; labels and weights come from the source. */
export class FeatureBatches implements BatchSource {
  readonly #source: BatchSource;
  readonly #table: FeatureTable;
  readonly #free: Float32Array[] = [];
  /** Ours -> the source's own, which it wants back. */
  readonly #theirs = new Map<Batch, Batch>();

  constructor(source: BatchSource, table: FeatureTable) {
    this.#source = source;
    this.#table = table;
  }

  async next(cursor: BatchCursor): Promise<Batch> {
    const batch = await this.#source.next(cursor, { features: false });
    const { width, places, values } = this.#table;
    const features = this.#free.pop() ?? new Float32Array(batch.rows.length * width);
    batch.rows.forEach((row, at) => {
      const place = places.get(row);
      if (place === undefined) {
        throw new AppError('training/features', `The body has not seen row ${row}.`, { row });
      }
      features.set(values.subarray(place * width, (place + 1) * width), at * width);
    });
    const ours = { ...batch, features };
    this.#theirs.set(ours, batch);
    return ours;
  }

  release(batch: Batch): void {
    this.#free.push(batch.features);
    const theirs = this.#theirs.get(batch);
    this.#theirs.delete(batch);
    if (theirs) this.#source.release(theirs);
  }

  dispose(): void {
    this.#source.dispose();
  }
}

/** One buffer: rows and width as uint32, the row of each place, then the values. */
export function packFeatures({ width, places, values }: FeatureTable): ArrayBuffer {
  const packed = new ArrayBuffer(8 + places.size * 4 + values.byteLength);
  new Uint32Array(packed, 0, 2).set([places.size, width]);
  new Uint32Array(packed, 8, places.size).set([...places.keys()]);
  new Float32Array(packed, 8 + places.size * 4).set(values);
  return packed;
}

/** null where the buffer does not hold `rows` answers of `width` numbers. */
export function unpackFeatures(
  packed: ArrayBuffer,
  rows: number,
  width: number,
): FeatureTable | null {
  if (packed.byteLength !== 8 + rows * 4 + rows * width * 4) return null;
  const [count, wide] = new Uint32Array(packed, 0, 2);
  if (count !== rows || wide !== width) return null;
  const places = new Map<number, number>();
  new Uint32Array(packed, 8, rows).forEach((row, place) => places.set(row, place));
  return { width, places, values: new Float32Array(packed, 8 + rows * 4) };
}
