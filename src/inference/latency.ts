/**
 * How fast the model answers here: median and 95th percentile of one-row calls after a warm-up, and rows a
 * second in batches. Bounded in time, so a slow model is measured by fewer calls, never by more waiting.
 */
import { quantile } from '../evaluation/intervals';
import type { LatencyReport } from '../protocol/entities';
import { evenRows, gather, rowsOf, slice } from './batches';
import { BATCH_ROWS, answerOutput, fixedBatch } from './predict';
import type { LoadedModel } from './predict';
import type { ModelInput, Runtime } from './runtime';

const WARM_UP_CALLS = 5;
const MOST_CALLS = 300;

export async function measureLatency(
  runtime: Runtime,
  model: LoadedModel,
  inputs: readonly ModelInput[],
  budgetMs: number,
  check: () => Promise<void>,
): Promise<LatencyReport> {
  const rows = rowsOf(inputs);
  const outputs = [answerOutput(model.graph)];
  // A model with a fixed batch cannot answer fewer rows than that.
  const width = fixedBatch(model) ?? 1;
  const single = Array.from({ length: Math.min(Math.floor(rows / width), 32) }, (_, index) =>
    slice(inputs, index * width, (index + 1) * width),
  );
  const times: number[] = [];
  const call = async (index: number): Promise<number> => {
    const started = performance.now();
    await model.session.run(single[index % single.length] ?? [], outputs);
    return performance.now() - started;
  };
  let deadline = performance.now() + budgetMs / 4;
  for (let index = 0; index < WARM_UP_CALLS && performance.now() < deadline; index++)
    await call(index);
  deadline = performance.now() + budgetMs / 2;
  while (times.length === 0 || (times.length < MOST_CALLS && performance.now() < deadline)) {
    times.push(await call(times.length));
    await check();
  }
  times.sort((a, b) => a - b);
  return {
    medianMs: quantile(times, 0.5),
    p95Ms: quantile(times, 0.95),
    rowsPerSecond: await throughput(model, inputs, budgetMs / 4, check),
    provider: runtime.label,
  };
}

async function throughput(
  model: LoadedModel,
  inputs: readonly ModelInput[],
  budgetMs: number,
  check: () => Promise<void>,
): Promise<number> {
  const rows = rowsOf(inputs);
  const size = fixedBatch(model) ?? BATCH_ROWS;
  // Few rows repeat until the batch is full: the time does not depend on which rows they are.
  const order =
    rows >= size
      ? evenRows(rows, size)
      : Uint32Array.from({ length: size }, (_, index) => index % rows);
  const batch = gather(inputs, order);
  const outputs = [answerOutput(model.graph)];
  await model.session.run(batch, outputs);
  // The median, because one pause of the whole computer would decide a mean.
  const times: number[] = [];
  const deadline = performance.now() + budgetMs;
  while (times.length === 0 || performance.now() < deadline) {
    const started = performance.now();
    await model.session.run(batch, outputs);
    times.push(performance.now() - started);
    await check();
  }
  times.sort((a, b) => a - b);
  return (size * 1000) / Math.max(quantile(times, 0.5), 1e-3);
}
