/**
 * The baseline by rule as a model: all weights 0 and the bias set, so that classification always answers the
 * shares of the classes in the training part (log of each share, so that softmax gives it back) and regression
 * always answers the mean, which is 0 in standardised units.
 */
import { AppError } from '../core/errors';
import type { Prepared } from '../protocol/api';
import { stepsPerEpoch } from './course';
import type { LoopRequest, LoopSummary } from './loop-types';
import { validate } from './validation';

type ConstantRequest = Pick<
  LoopRequest,
  'training' | 'rows' | 'reading' | 'state' | 'validate' | 'batches'
>;

export async function constantCourse(
  request: ConstantRequest,
  { classCounts }: Pick<Prepared, 'classCounts'>,
): Promise<LoopSummary> {
  const { training, rows, reading, state, batches } = request;
  const started = performance.now();
  const bias = biasOf(reading, classCounts);
  const values = await state.read();
  for (const [name, data] of values) {
    if (name === 'output.bias') data.set(bias);
    else data.fill(0);
  }
  await state.write(values);
  const count = stepsPerEpoch(rows.validation, training.batchSize);
  const { loss, metric, total, correct } = await validate(
    request.validate,
    batches,
    count,
    reading,
    (promise) => promise,
    training.accumulate,
  );
  const counts = reading.kind === 'regression' ? { total } : { correct, total };
  const seconds = (performance.now() - started) / 1000;
  return {
    status: 'done',
    loop: {
      curve: [{ step: 0, epoch: 0, series: 'validation', loss, metric }],
      bestLoss: loss,
      bestEpoch: 0,
      bestMetric: metric,
      epochsWithoutGain: 0,
      seconds,
      epochLossSum: 0,
      epochLossWeight: 0,
    },
    stepsDone: 0,
    seconds,
    examplesPerSecond: 0,
    best: { epoch: 0, loss, metric, ...counts },
    state: values,
  };
}

function biasOf(reading: LoopRequest['reading'], counts: readonly number[]): Float32Array {
  if (reading.kind === 'regression') return Float32Array.of(0);
  const total = counts.reduce((sum, count) => sum + count, 0);
  if (total === 0) throw new AppError('training/empty-part', 'The training part has no rows.');
  // A class without rows would have log 0; half a row stands for "never seen".
  const logs = counts.map((count) => Math.log(Math.max(count, 0.5) / total));
  if (reading.kind === 'binary') return Float32Array.of((logs[1] ?? 0) - (logs[0] ?? 0));
  return Float32Array.from(logs);
}
