/** A batch in equal parts, as views of the same memory. */
import { AppError } from '../core/errors';
import type { Batch } from './batch-source';

/** Rows of each part. @throws AppError `training/accumulate` where the batch cannot be divided so */
export function microBatchRows(batchSize: number, parts: number): number {
  const rows = batchSize / parts;
  if (Number.isSafeInteger(rows) && rows >= 1) return rows;
  const fitting = divisors(batchSize).filter((divisor) => divisor > 1);
  throw new AppError(
    'training/accumulate',
    `A batch of ${batchSize} rows cannot be divided into ${parts} equal parts. ` +
      (fitting.length === 0
        ? 'Choose a larger batch.'
        : `Choose one of ${fitting.join(', ')} parts, or another batch size.`),
    { batchSize, parts },
  );
}

/** Numbers by which `count` can be divided, in rising order. */
export function divisors(count: number): number[] {
  return Array.from({ length: count }, (_, index) => index + 1).filter(
    (divisor) => count % divisor === 0,
  );
}

export function microBatches(batch: Batch, parts: number): readonly Batch[] {
  if (parts === 1) return [batch];
  return Array.from({ length: parts }, (_, part) => {
    const share = <T extends Float32Array | Int32Array | Uint32Array>(data: T): T =>
      data.subarray((part * data.length) / parts, ((part + 1) * data.length) / parts) as T;
    return {
      ...batch,
      features: share(batch.features),
      labels: share(batch.labels),
      weights: share(batch.weights),
      rows: share(batch.rows),
    };
  });
}
