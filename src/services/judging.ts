/** Judging models: opening parts of the data, running the shipped file on them, recording what came out. */
import { AppError } from '../core/errors';
import type { EvaluateResult, OnProgress, RawPart } from '../protocol/api';
import type {
  Evaluation,
  FittedRecipe,
  Id,
  ModelVersion,
  Project,
  RunConfig,
  SplitPart,
} from '../protocol/entities';
import { runConfig } from './run-config';
import type { WorkerSet } from './workers';

export interface Evaluated {
  readonly evaluation: Evaluation;
  readonly predictions: EvaluateResult['predictions'];
}

/**
 * Judges a model on a part and records it. `test` opens the sealed part and counts the opening, unless `part`
 * rows from an opening just counted are handed in.
 */
export async function evaluate(
  workers: WorkerSet,
  callId: string,
  modelId: Id,
  part: SplitPart,
  onProgress: OnProgress,
  opened?: RawPart,
): Promise<Evaluated> {
  const { store } = workers;
  const model = await store.getModel(modelId);
  const project = await store.getProject(model.projectId);
  const rows = opened ?? (await openPart(workers, project, model, part));
  const { datasetId } = await configOf(workers, project, model);
  return judge(workers, callId, project, model, { part, datasetId, rows }, onProgress);
}

/** Judges a model on every row of a dataset that it has not been trained on and records it. */
export async function evaluateOn(
  workers: WorkerSet,
  callId: string,
  modelId: Id,
  datasetId: Id,
  onProgress: OnProgress,
): Promise<Evaluated> {
  const { data, store } = workers;
  const model = await store.getModel(modelId);
  const project = await store.getProject(model.projectId);
  const trained = await configOf(workers, project, model);
  if (trained.datasetId === datasetId && model.runId !== null) {
    throw new AppError(
      'model/own-data',
      `"${model.name}" has seen rows of this dataset. Evaluate it on its validation or test part.`,
      { modelId, datasetId },
    );
  }
  const recipe = await recipeOf(workers, model, trained);
  const { column: target, task } = recipe.target;
  const config: RunConfig = { ...trained, datasetId, target, task };
  const rows = await data.readPart(config, recipe, 'all', { unsealed: true });
  return judge(workers, callId, project, model, { part: 'all', datasetId, rows }, onProgress);
}

async function judge(
  workers: WorkerSet,
  callId: string,
  project: Project,
  model: ModelVersion,
  on: { part: SplitPart | 'all'; datasetId: Id; rows: RawPart },
  onProgress: OnProgress,
): Promise<Evaluated> {
  const { infer, store } = workers;
  const { task, classes } = model.signature;
  const { report, latency, predictions } = await infer.evaluate(
    callId,
    {
      model: model.file,
      task,
      classes,
      part: on.rows,
      measureLatency: true,
      seed: project.seed,
    },
    onProgress,
  );
  const evaluation = await store.putEvaluation(
    {
      projectId: project.id,
      modelVersionId: model.id,
      datasetId: on.datasetId,
      part: on.part,
      rows: on.rows.rows.length,
      report,
      latency,
      bytes: model.file.bytes,
    },
    predictions,
  );
  return { evaluation, predictions };
}

/** Raw inputs and truths of a part; opening `test` is counted first. */
export async function openPart(
  workers: WorkerSet,
  project: Project,
  model: ModelVersion,
  part: SplitPart,
): Promise<RawPart> {
  const { data, store } = workers;
  const config = await configOf(workers, project, model);
  const recipe = await recipeOf(workers, model, config);
  if (part === 'test') await store.openTest(project.id);
  return data.readPart(config, recipe, part, { unsealed: part === 'test' });
}

/** The model's own recipe; one that came without is fed by the project's where its inputs fit exactly. */
export async function recipeOf(
  workers: WorkerSet,
  model: ModelVersion,
  config: RunConfig,
): Promise<FittedRecipe> {
  if (model.recipe !== null) return model.recipe;
  const { data } = workers;
  const { recipe } = await data.prepare(config);
  const sample = await data.readPart(config, recipe, 'train', { unsealed: false, limit: 1 });
  const fits =
    model.signature.inputs.length === sample.inputs.length &&
    model.signature.inputs.every(({ name, dtype, dims }) => {
      const found = sample.inputs.find((input) => input.name === name);
      return found?.dtype === dtype && found.dims.slice(1).join() === dims.slice(1).join();
    });
  if (fits) return recipe;
  const wanted = model.signature.inputs
    .map(({ name, dtype, dims }) => `"${name}" (${dtype} ${dims.join(' × ')})`)
    .join(', ');
  throw new AppError(
    'model/no-recipe',
    `"${model.name}" does not say how its inputs are made from columns, and this project's do not fit: it wants ${wanted}.`,
    { modelId: model.id },
  );
}

/** The split that a model was trained with decides which rows it has not seen. */
export async function configOf(
  workers: WorkerSet,
  project: Project,
  model: ModelVersion,
): Promise<RunConfig> {
  const { store } = workers;
  for (let at: ModelVersion | null = model; at !== null;) {
    if (at.runId !== null) return (await store.getRun(at.runId)).config;
    at = at.parentId === null ? null : await store.getModel(at.parentId);
  }
  return runConfig(project);
}
