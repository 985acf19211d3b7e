/**
 * What the infer worker does, as ordinary code: judge, explain, compress and serve models on the runtime that is
 * shipped. It is handed its runtime, the way to a stored chunk, the CSV writer and the export template, so tests
 * call it directly.
 */
import { AppError } from '../core/errors';
import { classificationReport } from '../evaluation/classification';
import { comparePaired } from '../evaluation/compare';
import { permutationImportance } from '../evaluation/importance';
import { regressionReport } from '../evaluation/regression';
import type { EvaluateRequest, EvaluateResult, InferApi, RawPart } from '../protocol/api';
import type { ChunkRef, FittedRecipe } from '../protocol/entities';
import { evenRows, gather, permuteColumn, rowsOf } from './batches';
import { Calls } from './calls';
import { fillPage } from './export-page';
import { createGraphView } from './graph-view';
import { inspectModel } from './inspect';
import { measureLatency } from './latency';
import { ModelCache } from './models';
import { argMax, predictAll, probabilitiesAt, toPredictionRows } from './predict';
import type { LoadedModel } from './predict';
import { quantiseFile } from './quantise';
import { answeredTable } from './table';
import type { Runtime } from './runtime';

export interface InferParts {
  /** Made on the first call that needs it: loading the engine takes seconds on a slow line. */
  readonly runtime: () => Runtime;
  readonly loadChunk: (ref: ChunkRef) => Promise<ArrayBuffer>;
  readonly writeCsv: (
    header: readonly string[],
    rows: Iterable<readonly string[]>,
    delimiter: string,
  ) => string;
  readonly loadPageTemplate: () => Promise<string>;
}

const LATENCY_BUDGET_MS = 2000;
/** Where latency was not asked for, enough calls for an honest first figure. */
const GLANCE_BUDGET_MS = 300;
const IMPORTANCE_ROWS = 1000;
const IMPORTANCE_REPEATS = 5;

export function createInferApi(parts: InferParts): Omit<InferApi, 'connectStore'> {
  const calls = new Calls();
  let runtime: Runtime | null = null;
  const theRuntime = () => (runtime ??= parts.runtime());
  let cache: ModelCache | null = null;
  const models = () => (cache ??= new ModelCache(theRuntime(), parts.loadChunk));

  return {
    ...createGraphView(parts.loadChunk),
    predict: (model, inputs) =>
      models().use(model, async (loaded) => {
        const started = performance.now();
        const { rows, values } = await predictAll(loaded, inputs);
        return { rows, values, milliseconds: performance.now() - started };
      }),

    evaluate: (callId, request, onProgress) =>
      calls.run(callId, (check) =>
        models().use(request.model, async (loaded) => {
          const total = requireRows(request.part);
          const predictions = await predictAll(loaded, request.part.inputs, async (done) => {
            onProgress({ label: 'Asking the model', done, total, unit: 'rows' });
            await check();
          });
          onProgress({ label: 'Measuring how fast it answers' });
          const latency = await measureLatency(
            theRuntime(),
            loaded,
            request.part.inputs,
            request.measureLatency ? LATENCY_BUDGET_MS : GLANCE_BUDGET_MS,
            check,
          );
          onProgress({ label: 'Working out figures and intervals' });
          return { ...judge(request, predictions), latency };
        }),
      ),

    importance: (callId, model, recipe, part, seed, onProgress) =>
      calls.run(callId, (check) =>
        models().use(model, (loaded) =>
          importanceOf(loaded, recipe, part, seed, async (done, total) => {
            onProgress({ label: 'Shuffling one column at a time', done, total, unit: 'steps' });
            await check();
          }),
        ),
      ),

    compare: (a, b, task) => Promise.resolve().then(() => comparePaired(a, b, task)),

    quantise: (callId, model, mode, calibration, onProgress) =>
      calls.run(callId, async (check) => {
        const file = new Uint8Array(await parts.loadChunk(model));
        return quantiseFile(file, mode, calibration, theRuntime(), onProgress, check);
      }),

    inspectModel: (file) => inspectModel(file, theRuntime()),

    async exportPage(model, version) {
      const [template, file] = await Promise.all([
        parts.loadPageTemplate(),
        parts.loadChunk(model),
      ]);
      return fillPage(template, new Uint8Array(file), version);
    },

    predictTable: (callId, model, recipe, table, onProgress) =>
      calls.run(callId, (check) =>
        models().use(model, async (loaded) => {
          const total = table.cells.length;
          const predictions = await predictAll(loaded, table.inputs, async (done) => {
            onProgress({ label: 'Predicting', done, total, unit: 'rows' });
            await check();
          });
          onProgress({ label: 'Writing the table' });
          const { header, rows } = answeredTable(table, recipe, predictions);
          const text = parts.writeCsv(header, rows, table.delimiter);
          return new TextEncoder().encode(text).buffer;
        }),
      ),

    cancel: (callId) => calls.cancel(callId),
  };
}

function judge(
  { task, classes, part, seed }: EvaluateRequest,
  predictions: Awaited<ReturnType<typeof predictAll>>,
): Omit<EvaluateResult, 'latency'> {
  const rows = toPredictionRows(predictions, task, classes.length, part.truth, part.rows);
  const report =
    task === 'classification'
      ? classificationReport(rows, classes, seed)
      : regressionReport(rows, seed);
  return { report, predictions: rows };
}

function requireRows(part: Pick<RawPart, 'inputs' | 'truth'>): number {
  const rows = rowsOf(part.inputs);
  if (rows > 0 && part.truth.length === rows) return rows;
  throw new AppError(
    'evaluate/no-rows',
    `There is nothing to evaluate on: ${rows} rows with ${part.truth.length} known answers. Choose a part of the data that has rows.`,
    { rows, truths: part.truth.length },
  );
}

async function importanceOf(
  model: LoadedModel,
  recipe: FittedRecipe,
  part: RawPart,
  seed: number,
  onStep: (done: number, total: number) => Promise<void>,
) {
  const { input, target } = recipe;
  if (input.type !== 'table') {
    throw new AppError(
      'importance/images',
      'Shuffling columns says nothing about pictures: a pixel alone has no meaning. Look at the mistakes instead.',
    );
  }
  const columns = [
    ...input.numeric.map(({ column }, index) => ({ column, input: 'numeric', index })),
    ...input.categorical.map(({ column }, index) => ({ column, input: 'categorical', index })),
  ];
  const chosen = evenRows(requireRows(part), IMPORTANCE_ROWS);
  const inputs = gather(part.inputs, chosen);
  const truth = Float64Array.from(chosen, (row) => part.truth[row] ?? NaN);
  const total = columns.length * IMPORTANCE_REPEATS + 1;
  let done = 0;
  return permutationImportance({
    task: target.task,
    rows: chosen.length,
    columns: columns.map(({ column }) => column),
    truth,
    seed,
    repeats: IMPORTANCE_REPEATS,
    async predict(permuted) {
      await onStep(done++, total);
      const column = permuted ? columns[permuted.column] : undefined;
      const fed =
        permuted && column
          ? permuteColumn(inputs, column.input, column.index, permuted.order)
          : inputs;
      const predictions = await predictAll(model, fed);
      if (target.task === 'regression') return Float64Array.from(predictions.values);
      return Float64Array.from({ length: predictions.rows }, (_, row) =>
        argMax(probabilitiesAt(predictions, row, target.classes.length)),
      );
    },
  });
}
