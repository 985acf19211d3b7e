/**
 * One pass over the validation part with a Program on the run's own State: loss, accuracy or RMSE, and the
 * examples with the largest loss. For the curve only: recorded Evaluations run the finished file instead.
 */
import { AppError } from '../core/errors';
import type { Feeds, Program } from '../engine/executor';
import type { Batch, BatchSource } from './batch-source';
import { Prefetch } from './batch-source';
import { microBatches } from './micro-batch';

/** What a row's outputs mean. */
export type Reading =
  | { readonly kind: 'classes'; readonly classes: number }
  /** One logit, positive for class 1. */
  | { readonly kind: 'binary' }
  /** Standardised output: original value = output * scale + mean. */
  | { readonly kind: 'regression'; readonly mean: number; readonly scale: number };

export interface HardExample {
  readonly row: number;
  readonly actual: number;
  readonly predicted: number;
  readonly loss: number;
}

export interface Validation {
  /** Weighted mean loss. */
  readonly loss: number;
  /** Accuracy, or RMSE in the target's own units. */
  readonly metric: number;
  /** Rows that count, and how many of them are right (0 for regression). */
  readonly total: number;
  readonly correct: number;
  readonly hardest: readonly HardExample[];
}

const HARDEST = 24;

/** Feeds of a step: the batch under the names that graphs use for it. */
export function batchFeeds(batch: Batch): Map<string, Float32Array | Int32Array> {
  return new Map<string, Float32Array | Int32Array>([
    ['features', batch.features],
    ['labels', batch.labels],
    ['sample_weight', batch.weights],
  ]);
}

/** `parts`: micro-batches of each batch, for a program that takes no more at once. */
export async function validate(
  program: Program,
  source: BatchSource,
  batches: number,
  reading: Reading,
  guard: <T>(promise: Promise<T>) => Promise<T>,
  parts = 1,
): Promise<Validation> {
  const cursors = Array.from({ length: batches }, (_, index) => ({
    part: 'validation' as const,
    epoch: 0,
    index,
  }));
  const stream = new Prefetch(source, cursors.values());
  const sum = { loss: 0, weight: 0, error: 0, total: 0, correct: 0 };
  const hardest: HardExample[] = [];
  for (;;) {
    const batch = await guard(stream.next());
    if (batch === null) break;
    for (const part of microBatches(batch, parts)) {
      const feeds: Feeds = batchFeeds(part);
      const result = await guard(program.step(feeds).read());
      sum.loss += scalar(result, 'loss_numerator');
      sum.weight += scalar(result, 'loss_denominator');
      const logits = output(result, 'logits');
      const rowLoss = output(result, 'row_loss');
      for (let i = 0; i < part.weights.length; i++) {
        if (part.weights[i] === 0) continue;
        const { actual, predicted } = read(reading, part, logits, i);
        sum.total++;
        if (actual === predicted) sum.correct++;
        sum.error += (actual - predicted) ** 2;
        hardest.push({ row: part.rows[i] ?? 0, actual, predicted, loss: rowLoss[i] ?? 0 });
      }
      keepHardest(hardest);
    }
    source.release(batch);
  }
  const regression = reading.kind === 'regression';
  return {
    loss: sum.loss / sum.weight,
    metric: regression ? Math.sqrt(sum.error / sum.total) : sum.correct / sum.total,
    total: sum.total,
    correct: regression ? 0 : sum.correct,
    hardest,
  };
}

function read(
  reading: Reading,
  batch: Batch,
  logits: Float32Array,
  row: number,
): { actual: number; predicted: number } {
  const label = batch.labels[row] ?? 0;
  switch (reading.kind) {
    case 'binary':
      return { actual: label, predicted: (logits[row] ?? 0) > 0 ? 1 : 0 };
    case 'regression': {
      const { mean, scale } = reading;
      return { actual: label * scale + mean, predicted: (logits[row] ?? 0) * scale + mean };
    }
    case 'classes': {
      const start = row * reading.classes;
      let best = 0;
      for (let c = 1; c < reading.classes; c++) {
        if ((logits[start + c] ?? 0) > (logits[start + best] ?? 0)) best = c;
      }
      return { actual: label, predicted: best };
    }
  }
}

/** Largest loss first; equal losses by row, so that the list is the same in every run. */
function keepHardest(examples: HardExample[]): void {
  examples.sort((a, b) => b.loss - a.loss || a.row - b.row);
  examples.length = Math.min(examples.length, HARDEST);
}

export function output(result: ReadonlyMap<string, Float32Array>, name: string): Float32Array {
  const value = result.get(name);
  if (value === undefined) {
    throw new AppError('internal/invariant', `A training program did not return "${name}".`, {
      name,
    });
  }
  return value;
}

export function scalar(result: ReadonlyMap<string, Float32Array>, name: string): number {
  return output(result, name)[0] ?? NaN;
}
