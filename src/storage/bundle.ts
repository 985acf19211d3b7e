/**
 * A project with everything that hangs on it, as plain records: what a duplicate, and a project file, is made
 * of. Chunks are named, never held.
 */
import type {
  ChunkRef,
  DatasetVersion,
  Evaluation,
  Id,
  ModelVersion,
  Project,
  Run,
  Timestamp,
} from '../protocol/entities';
import type { PretrainedSource } from '../protocol/fine-tune';
import type { PretrainedModel } from '../protocol/pretrained';
import type { StoreContext } from './context';
import { addDataset } from './datasets';
import { found } from './errors';
import { withEvaluationId } from './evaluations';
import { withModelId } from './models';
import { evaluationChunks, modelChunks, storedDatasetChunks } from './references';
import { isActive } from './run-status';
import type { EvaluationRow } from './schema';

export interface Bundle {
  readonly project: Project;
  readonly datasets: readonly DatasetVersion[];
  readonly runs: readonly Run[];
  readonly models: readonly ModelVersion[];
  readonly evaluations: readonly EvaluationRow[];
  /** Bodies of the person's own that it starts from; those that were given up are not here. */
  readonly pretrained: readonly PretrainedModel[];
}

type Records = Omit<Bundle, 'datasets' | 'pretrained'>;

/** Every dataset that a record of the bundle names; not those that only undo would bring back. */
export function namedDatasets(bundle: Records): ReadonlySet<Id> {
  const ids = [
    bundle.project.datasetId,
    ...bundle.runs.map((run) => run.config.datasetId),
    ...bundle.models.map((model) => model.datasetId),
    ...bundle.evaluations.map((row) => row.datasetId),
  ];
  return new Set(ids.filter((id) => id !== null));
}

/** Hash and name of every body of the person's own that a record of the bundle starts from. */
export function namedPretrained({ project, runs, models }: Records): ReadonlyMap<Id, string> {
  const named = new Map<Id, string>();
  const add = (source: PretrainedSource, name?: string) => {
    if (source.kind !== 'own') return;
    named.set(source.sha256, name ?? named.get(source.sha256) ?? source.sha256.slice(0, 12));
  };
  for (const blueprint of [project.blueprint, ...runs.map(({ config }) => config.blueprint)]) {
    if (blueprint?.kind === 'pretrained') add(blueprint.source);
  }
  for (const { base } of models) if (base) add(base.source, base.name);
  return named;
}

export function bundleChunks(bundle: Bundle): readonly ChunkRef[] {
  return [
    ...bundle.datasets.flatMap(storedDatasetChunks),
    ...bundle.models.flatMap(modelChunks),
    ...bundle.evaluations.flatMap(evaluationChunks),
    ...bundle.pretrained.flatMap(({ chunks }) => chunks),
  ];
}

export async function readBundle(context: StoreContext, id: Id): Promise<Bundle> {
  const { core } = context;
  return context.read('the project', core.tables, async () => {
    const records = {
      project: found(await core.projects.get(id), 'project', id),
      runs: await core.runs.where({ projectId: id }).sortBy('number'),
      models: await core.models.where({ projectId: id }).sortBy('number'),
      evaluations: await core.evaluations.where({ projectId: id }).sortBy('createdAt'),
    };
    const datasets = await core.datasets.bulkGet([...namedDatasets(records)]);
    const pretrained = await core.pretrained.bulkGet([...namedPretrained(records).keys()]);
    return {
      ...records,
      datasets: datasets.filter((dataset) => dataset !== undefined),
      pretrained: pretrained.filter((model) => model !== undefined),
    };
  });
}

/** Models in the trash stay behind, with their evaluations; what came from them forgets them. */
export function withoutTrash(bundle: Bundle): Bundle {
  const models = bundle.models.filter((model) => model.trashedAt === null);
  const kept = new Set(models.map((model) => model.id));
  const orNull = (id: Id | null) => (id !== null && kept.has(id) ? id : null);
  const records = {
    project: bundle.project,
    runs: bundle.runs.map((run) => ({ ...run, modelVersionId: orNull(run.modelVersionId) })),
    models: models.map((model) => ({ ...model, parentId: orNull(model.parentId) })),
    evaluations: bundle.evaluations.filter((row) => kept.has(row.modelVersionId)),
  };
  const named = namedDatasets(records);
  const bodies = namedPretrained(records);
  return {
    ...records,
    datasets: bundle.datasets.filter((dataset) => named.has(dataset.id)),
    pretrained: bundle.pretrained.filter(({ id }) => bodies.has(id)),
  };
}

/** The same under new ids. Runs without an end are stopped, because their checkpoints stay with the original. */
export async function copyBundle(bundle: Bundle, now: Timestamp, name: string): Promise<Bundle> {
  const projectId: Id = crypto.randomUUID();
  const runIds = new Map(bundle.runs.map((run) => [run.id, crypto.randomUUID() as Id]));
  const modelIds = new Map<Id, Id>();
  const models: ModelVersion[] = [];
  // By number, so that a parent has its new id before its children ask for it.
  for (const { id, ...record } of bundle.models.toSorted((a, b) => a.number - b.number)) {
    const model = await withModelId({
      ...record,
      projectId,
      runId: renamed(runIds, record.runId),
      parentId: renamed(modelIds, record.parentId),
    });
    modelIds.set(id, model.id);
    models.push(model);
  }
  const evaluations: EvaluationRow[] = [];
  for (const row of bundle.evaluations) {
    const { predictions, ...record } = withoutId(row);
    const modelVersionId = found(
      modelIds.get(record.modelVersionId),
      'model',
      record.modelVersionId,
    );
    const evaluation: Evaluation = await withEvaluationId({ ...record, projectId, modelVersionId });
    evaluations.push({ ...evaluation, predictions });
  }
  const runs = bundle.runs.map((run): Run => {
    const unfinished = isActive(run.status) || run.status === 'interrupted';
    return {
      ...run,
      id: found(runIds.get(run.id), 'run', run.id),
      projectId,
      status: unfinished ? 'stopped' : run.status,
      modelVersionId: renamed(modelIds, run.modelVersionId),
    };
  });
  const project: Project = {
    ...bundle.project,
    id: projectId,
    name,
    createdAt: now,
    updatedAt: now,
    trashedAt: null,
    revision: 1,
  };
  const { datasets, pretrained } = bundle;
  return { project, datasets, runs, models, evaluations, pretrained };
}

function withoutId<T extends { readonly id: Id }>({ id: _, ...record }: T): Omit<T, 'id'> {
  return record;
}

function renamed(names: ReadonlyMap<Id, Id>, id: Id | null): Id | null {
  return id === null ? null : found(names.get(id), 'record', id);
}

/** Writes all of it in one transaction, or nothing. */
export async function insertBundle(context: StoreContext, bundle: Bundle): Promise<Project> {
  const { core } = context;
  return context.publish(`The project “${bundle.project.name}”`, bundleChunks(bundle), () =>
    context.writeNewProject(bundle.project.id, 'the project', core.tables, async () => {
      for (const dataset of bundle.datasets) await addDataset(context, dataset);
      for (const id of namedDatasets(bundle)) await context.link(bundle.project.id, id);
      for (const model of bundle.pretrained) {
        // Under the hash of its file: what is there already is the same.
        if (!(await core.pretrained.get(model.id))) await core.pretrained.add(model);
      }
      await core.projects.add(bundle.project);
      await core.runs.bulkAdd([...bundle.runs]);
      await core.models.bulkAdd([...bundle.models]);
      await core.evaluations.bulkAdd([...bundle.evaluations]);
      return bundle.project;
    }),
  );
}
