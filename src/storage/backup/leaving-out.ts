/** A bundle without something: without rows, without what cannot be read, without references that lead nowhere. */
import type {
  ChunkRef,
  DatasetManifest,
  DatasetVersion,
  Id,
  ModelVersion,
} from '../../protocol/entities';
import type { Bundle } from '../bundle';
import { leaves } from '../chunks';
import { evaluationChunks, modelChunks, storedDatasetChunks } from '../references';
import type { EvaluationRow } from '../schema';

/** More distinct values than this are people's words rather than categories (the same limit as for features). */
const MOST_CATEGORIES = 50;

export function withoutRows(bundle: Bundle): Bundle {
  return {
    ...bundle,
    datasets: bundle.datasets.map(datasetWithoutRows),
    // Predictions hold the true value of every row.
    evaluations: bundle.evaluations.map((row) => ({ ...row, predictions: null })),
  };
}

function datasetWithoutRows({ manifest, ...dataset }: DatasetVersion): DatasetVersion {
  return { ...dataset, manifest: manifestWithoutRows(manifest), rowsLeftOut: true };
}

/** Names of categories stay; the vocabulary of a text or identifier column would be its rows. */
function manifestWithoutRows(manifest: DatasetManifest): DatasetManifest {
  if (manifest.type === 'images') {
    const { groups } = manifest;
    const bare = { ...manifest, pixels: [], labels: [] };
    return groups ? { ...bare, groups: { ...groups, chunks: [] } } : bare;
  }
  return {
    ...manifest,
    columns: manifest.columns.map(({ vocabularyChunks: _, ...column }) => {
      const categories = column.kind === 'categorical' && column.distinct <= MOST_CATEGORIES;
      return { ...column, chunks: [], vocabulary: categories ? column.vocabulary : [] };
    }),
  };
}

/** What chunks belong to, in words that follow "not". */
export interface Owned {
  readonly what: string;
  readonly refs: readonly ChunkRef[];
}

export function ownedChunks(bundle: Bundle): readonly Owned[] {
  const names = new Map(bundle.models.map((model) => [model.id, nameOf(model)]));
  return [
    ...bundle.datasets.map((row) => ({
      what: `all rows of ${row.manifest.name}`,
      refs: storedDatasetChunks(row),
    })),
    ...bundle.models.flatMap((model) => [
      { what: `the file of ${nameOf(model)}`, refs: [model.file] },
      { what: `the adapter of ${nameOf(model)}`, refs: model.adapter ? [model.adapter] : [] },
    ]),
    ...bundle.evaluations.map((row) => ({
      what: `predictions of ${names.get(row.modelVersionId) ?? 'a model'}`,
      refs: evaluationChunks(row),
    })),
    ...bundle.pretrained.map(({ name, chunks }) => ({
      what: `the pretrained model ${name}`,
      refs: chunks,
    })),
  ];
}

function nameOf({ number, name }: ModelVersion): string {
  return `model ${number} “${name}”`;
}

/**
 * Without what names a missing chunk: a dataset keeps its description but no rows, an evaluation its figures; a model
 * without its file goes, with its evaluations, and so does a pretrained body. `missing` holds hashes of leaves.
 */
export function withoutMissing(bundle: Bundle, missing: ReadonlySet<string>): Bundle {
  if (missing.size === 0) return bundle;
  const whole = (refs: readonly ChunkRef[]) =>
    leaves(refs).every(({ sha256 }) => !missing.has(sha256));
  const models = bundle.models
    .filter(({ file }) => whole([file]))
    .map((model) => (whole(modelChunks(model)) ? model : withoutAdapter(model)));
  return withoutDangling({
    ...bundle,
    datasets: bundle.datasets.map((row) =>
      whole(storedDatasetChunks(row)) ? row : datasetWithoutRows(row),
    ),
    models,
    evaluations: bundle.evaluations.map((row): EvaluationRow =>
      whole(evaluationChunks(row)) ? row : { ...row, predictions: null },
    ),
    pretrained: bundle.pretrained.filter(({ chunks }) => whole(chunks)),
  });
}

function withoutAdapter({ adapter: _, ...model }: ModelVersion): ModelVersion {
  return model;
}

/** Without references to records that are not there, and without the records that are nothing without them. */
export function withoutDangling(bundle: Bundle): Bundle {
  const datasets = new Set(bundle.datasets.map(({ id }) => id));
  const runs = bundle.runs.filter(({ config }) => datasets.has(config.datasetId));
  const runIds = new Set(runs.map(({ id }) => id));
  const modelIds = new Set(bundle.models.map(({ id }) => id));
  const there = (ids: ReadonlySet<Id>, id: Id | null) => (id !== null && ids.has(id) ? id : null);
  return {
    ...bundle,
    project: { ...bundle.project, datasetId: there(datasets, bundle.project.datasetId) },
    runs: runs.map((run) => ({ ...run, modelVersionId: there(modelIds, run.modelVersionId) })),
    models: bundle.models.map((model) => ({
      ...model,
      runId: there(runIds, model.runId),
      parentId: there(modelIds, model.parentId),
      datasetId: there(datasets, model.datasetId),
    })),
    evaluations: bundle.evaluations.filter(
      (row) => modelIds.has(row.modelVersionId) && datasets.has(row.datasetId),
    ),
  };
}

/** What `withoutDangling` takes away, in words. */
export function danglingRecords(bundle: Bundle): readonly string[] {
  const kept = withoutDangling(bundle);
  const there = new Set([...kept.runs, ...kept.evaluations].map(({ id }) => id));
  const lost = [
    ...bundle.runs.map((run) => ({ id: run.id, what: `run ${run.number} “${run.name}”` })),
    ...bundle.evaluations.map(({ id }) => ({ id, what: 'an evaluation' })),
  ];
  return lost.filter(({ id }) => !there.has(id)).map(({ what }) => what);
}
