/** Batched prediction with a loaded model: raw inputs in, one row of probabilities or one value a row out. */
import { AppError } from '../core/errors';
import type { Graph } from '../onnx/graph';
import type { PredictionRow, TaskType } from '../protocol/entities';
import { rowsOf, slice } from './batches';
import type { ModelInput, ModelSession } from './runtime';

export const BATCH_ROWS = 256;

export interface LoadedModel {
  readonly graph: Graph;
  readonly session: ModelSession;
  readonly bytes: number;
}

export interface Predictions {
  readonly rows: number;
  /** Values of a row: classes, or 1. */
  readonly width: number;
  readonly values: Float32Array;
}

/** Called between batches with the rows done; throws to stop. */
export type OnRows = (done: number) => Promise<void>;

/**
 * `probabilities` of a classifier or `prediction` of a regressor; for models from elsewhere the first float32
 * output, whatever its name (raw scores become probabilities in predictAll).
 */
export function answerOutput(graph: Graph): string {
  const named = ['probabilities', 'prediction', 'logits'];
  const found =
    named
      .map((name) => graph.outputs.find((output) => output.name === name))
      .find((output) => output?.dtype === 'float32') ??
    graph.outputs.find(({ dtype }) => dtype === 'float32');
  if (!found) {
    throw new AppError(
      'model/no-answer',
      `None of the model's outputs (${graph.outputs.map(({ name, dtype }) => `${name}: ${dtype}`).join(', ')}) is float32. Choose a model that gives probabilities or a value.`,
      { outputs: graph.outputs.map(({ name }) => name) },
    );
  }
  return found.name;
}

/** Rows that a model with a fixed batch dimension takes at a time; null for any number. */
export function fixedBatch({ graph }: LoadedModel): number | null {
  const dim = graph.inputs[0]?.dims[0];
  return typeof dim === 'number' && dim > 0 ? dim : null;
}

export async function predictAll(
  model: LoadedModel,
  inputs: readonly ModelInput[],
  onRows: OnRows = () => Promise.resolve(),
): Promise<Predictions> {
  const rows = rowsOf(inputs);
  const output = answerOutput(model.graph);
  const fixed = fixedBatch(model);
  const batch = fixed ?? BATCH_ROWS;
  if (fixed !== null && rows % fixed !== 0) {
    throw new AppError(
      'model/fixed-batch',
      `This model only takes ${batch} rows at a time and cannot take ${rows}. Export it with a free batch dimension.`,
      { batch, rows },
    );
  }
  let values = new Float32Array();
  let width = 1;
  for (let start = 0; start < rows; start += batch) {
    const end = Math.min(start + batch, rows);
    const results = await model.session.run(slice(inputs, start, end), [output]);
    const data = results.get(output)?.data ?? new Float32Array();
    if (start === 0) {
      width = data.length / (end - start);
      values = new Float32Array(rows * width);
    }
    values.set(data, start * width);
    await onRows(end);
  }
  const trusted = output === 'probabilities' || areDistributions(values, width);
  return { rows, width, values: trusted ? values : softmaxRows(values, width) };
}

/** Whether every row lies in [0, 1] and sums to 1; rows of one value are taken as they are. */
function areDistributions(values: Float32Array, width: number): boolean {
  if (width < 2) return true;
  for (let start = 0; start < values.length; start += width) {
    let sum = 0;
    for (const value of values.subarray(start, start + width)) {
      if (!(value >= 0 && value <= 1)) return false;
      sum += value;
    }
    if (Math.abs(sum - 1) > 1e-3) return false;
  }
  return true;
}

/** softmax(z)_i = exp(z_i - max z) / sum_j exp(z_j - max z), row by row. */
function softmaxRows(values: Float32Array, width: number): Float32Array {
  const out = new Float32Array(values.length);
  for (let start = 0; start < values.length; start += width) {
    const row = values.subarray(start, start + width);
    const peak = row.reduce((most, value) => Math.max(most, value), -Infinity);
    let sum = 0;
    for (const [index, value] of row.entries()) sum += out[start + index] = Math.exp(value - peak);
    for (let index = start; index < start + width; index++) out[index] = (out[index] ?? 0) / sum;
  }
  return out;
}

/** Probabilities of every class for one row; one column for two classes is the second one's probability. */
export function probabilitiesAt(
  { values, width }: Predictions,
  row: number,
  classes: number,
): number[] {
  if (width === 1 && classes === 2) {
    const p = values[row] ?? 0;
    return [1 - p, p];
  }
  if (width !== classes) {
    throw new AppError(
      'model/classes',
      `The model answers with ${width} values a row, but there are ${classes} classes. Choose data with the classes that the model knows.`,
      { width, classes },
    );
  }
  return [...values.subarray(row * width, (row + 1) * width)];
}

/** Index of the largest; the first of equals. */
export function argMax(values: ArrayLike<number>): number {
  let best = 0;
  for (let index = 1; index < values.length; index++)
    if ((values[index] ?? -Infinity) > (values[best] ?? -Infinity)) best = index;
  return best;
}

export function toPredictionRows(
  predictions: Predictions,
  task: TaskType,
  classes: number,
  truth: Float64Array,
  rows: Uint32Array,
): PredictionRow[] {
  return Array.from(truth, (actual, index) => {
    const row = rows[index] ?? index;
    if (task === 'regression')
      return { row, actual, predicted: predictions.values[index] ?? NaN, probabilities: [] };
    const probabilities = probabilitiesAt(predictions, index, classes);
    return { row, actual, predicted: argMax(probabilities), probabilities };
  });
}
