/**
 * Where the loop takes its batches from. The interface is a lookup by cursor, not a stream: any batch of any
 * epoch can be asked for, so resuming needs no replay. `PortBatchSource` speaks protocol/batches.ts with the
 * data worker; tests give an in-memory one.
 */
import { AppError } from '../core/errors';
import type { BatchMessage, BatchReply, BatchRequest } from '../protocol/batches';

export interface BatchCursor {
  readonly part: 'train' | 'validation';
  /** 0-based. */
  readonly epoch: number;
  readonly index: number;
}

export interface Batch extends BatchCursor {
  readonly features: Float32Array; // [batch, ...featureDims]
  readonly labels: Int32Array | Float32Array; // [batch] class index | [batch, 1] standardised
  readonly weights: Float32Array; // [batch], 0 for rows that only fill
  readonly rows: Uint32Array; // [batch] rows of the dataset
}

export interface BatchOptions {
  readonly features: boolean;
}

export interface BatchSource {
  /** With `features: false` labels, weights and rows only. */
  next(cursor: BatchCursor, options?: BatchOptions): Promise<Batch>;
  /** Gives a batch's memory back; the batch must not be read afterwards. */
  release(batch: Batch): void;
  dispose(): void;
}

interface Waiting {
  readonly resolve: (batch: Batch) => void;
  readonly reject: (error: AppError) => void;
  readonly deadline: ReturnType<typeof setTimeout>;
}

/** A port does not tell when its other end is gone; a batch takes milliseconds, the first of a large table seconds. */
const DEADLINE_MS = 120_000;

export class PortBatchSource implements BatchSource {
  readonly #port: MessagePort;
  readonly #classification: boolean;
  readonly #waiting = new Map<string, Waiting>();
  readonly #free: [ArrayBuffer, ArrayBuffer, ArrayBuffer][] = [];
  readonly #deadlineMs: number;
  #failure: AppError | null = null;

  constructor(port: MessagePort, classification: boolean, deadlineMs = DEADLINE_MS) {
    this.#port = port;
    this.#classification = classification;
    this.#deadlineMs = deadlineMs;
    port.addEventListener('message', this.#receive);
    port.start();
  }

  next(cursor: BatchCursor, { features } = { features: true }): Promise<Batch> {
    if (this.#failure !== null) return Promise.reject(this.#failure);
    return new Promise((resolve, reject) => {
      const deadline = setTimeout(() => {
        this.#fail(
          new AppError(
            'training/no-data',
            'No rows came from the data worker for two minutes. Resume the run from its checkpoint.',
          ),
        );
      }, this.#deadlineMs);
      this.#waiting.set(key(cursor), { resolve, reject, deadline });
      const recycle = this.#free.pop() ?? null;
      const { part, epoch, index } = cursor;
      const bare = features ? {} : ({ features: false } as const);
      const request: BatchRequest = { type: 'next', part, epoch, index, recycle, ...bare };
      this.#port.postMessage(request, recycle ?? []);
    });
  }

  release(batch: Batch): void {
    const { features, labels, weights } = batch;
    this.#free.push([buffer(features), buffer(labels), buffer(weights)]);
  }

  dispose(): void {
    for (const { deadline } of this.#waiting.values()) clearTimeout(deadline);
    this.#waiting.clear();
    this.#port.removeEventListener('message', this.#receive);
    this.#port.close();
  }

  readonly #receive = (event: MessageEvent<BatchReply>): void => {
    const reply = event.data;
    if (reply.type === 'failure') {
      const { code, message, data } = reply.error;
      this.#fail(new AppError(code as `${string}/${string}`, message, data));
      return;
    }
    const waiting = this.#waiting.get(key(reply));
    this.#waiting.delete(key(reply));
    clearTimeout(waiting?.deadline);
    waiting?.resolve(this.#view(reply));
  };

  #fail(error: AppError): void {
    this.#failure = error;
    for (const { reject, deadline } of this.#waiting.values()) {
      clearTimeout(deadline);
      reject(error);
    }
    this.#waiting.clear();
  }

  #view(message: BatchMessage): Batch {
    const { part, epoch, index, features, labels, weights, rows } = message;
    return {
      part,
      epoch,
      index,
      features: new Float32Array(features),
      labels: this.#classification ? new Int32Array(labels) : new Float32Array(labels),
      weights: new Float32Array(weights),
      rows,
    };
  }
}

function key({ part, epoch, index }: BatchCursor): string {
  return `${part}/${epoch}/${index}`;
}

function buffer(view: Float32Array | Int32Array): ArrayBuffer {
  return view.buffer as ArrayBuffer;
}

/** Keeps `depth` batches of `cursors` on their way, so that the step never waits for data that could be there. */
export class Prefetch {
  readonly #source: BatchSource;
  readonly #cursors: Iterator<BatchCursor>;
  readonly #coming: Promise<Batch>[] = [];

  constructor(source: BatchSource, cursors: Iterator<BatchCursor>, depth = 2) {
    this.#source = source;
    this.#cursors = cursors;
    for (let ahead = 0; ahead < depth; ahead++) this.#ask();
  }

  /** The next batch, or null after the last. */
  async next(): Promise<Batch | null> {
    const coming = this.#coming.shift();
    if (coming === undefined) return null;
    const batch = await coming;
    this.#ask();
    return batch;
  }

  /** Gives back what was fetched ahead and will not be used. */
  async drain(): Promise<void> {
    for (const batch of await Promise.all(this.#coming.splice(0))) this.#source.release(batch);
  }

  #ask(): void {
    const cursor = this.#cursors.next();
    if (cursor.done) return;
    const batch = this.#source.next(cursor.value);
    // A failure is met where the batch is awaited; this keeps it from counting as unhandled until then.
    batch.catch(() => undefined);
    this.#coming.push(batch);
  }
}
