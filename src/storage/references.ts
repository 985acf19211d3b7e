/** Who names which chunk: what the collector spares, an erasure frees, and a project file carries. */
import type {
  ChunkRef,
  DatasetManifest,
  DatasetVersion,
  Id,
  ModelVersion,
} from '../protocol/entities';
import type { PretrainedModel } from '../protocol/pretrained';
import type { KeySet } from './chunks';
import { leaves } from './chunks';
import type { CheckpointRow, CoreDatabase, EvaluationRow, Slot } from './schema';

export function datasetChunks(manifest: DatasetManifest): readonly ChunkRef[] {
  return manifest.type === 'table'
    ? manifest.columns.flatMap((column) => [...column.chunks, ...(column.vocabularyChunks ?? [])])
    : [...manifest.pixels, ...manifest.labels, ...(manifest.groups?.chunks ?? [])];
}

/** Chunks that must be in this store; none where a project file left the rows out. */
export function storedDatasetChunks(dataset: DatasetVersion): readonly ChunkRef[] {
  return dataset.rowsLeftOut ? [] : datasetChunks(dataset.manifest);
}

export function evaluationChunks(row: EvaluationRow): readonly ChunkRef[] {
  return row.predictions === null ? [] : [row.predictions];
}

/** The chunks of the slot that counts. */
export function checkpointChunks(row: CheckpointRow): readonly ChunkRef[] {
  const checkpoint = row.slots[row.current];
  if (checkpoint === undefined) return [];
  return checkpoint.best === null ? [checkpoint.state] : [checkpoint.state, checkpoint.best];
}

/** `epoch` is that of the claim under which it is written. */
export function checkpointKey(
  runId: Id,
  epoch: number,
  slot: Slot,
  part: 'state' | 'best',
): string {
  return `${checkpointPrefix(runId)}${epoch}/${slot}/${part}`;
}

/** All places of a run's checkpoints begin so. */
export const checkpointPrefix = (runId: Id): string => `checkpoint/${runId}/`;

function runOfCheckpoint(key: string): Id | undefined {
  return /^checkpoint\/([^/]+)\//.exec(key)?.[1];
}

type ModelFiles = Pick<ModelVersion, 'id' | 'file' | 'adapter'>;

export function modelChunks({
  file,
  adapter,
}: Pick<ModelFiles, 'file' | 'adapter'>): readonly ChunkRef[] {
  return adapter ? [file, adapter] : [file];
}

/** Everything in `core` that names chunks. Call inside a transaction, or accept a blurred picture. */
export interface Manifests {
  readonly datasets: readonly DatasetVersion[];
  readonly models: readonly ModelFiles[];
  readonly evaluations: readonly EvaluationRow[];
  readonly checkpoints: readonly CheckpointRow[];
  readonly pretrained: readonly Pick<PretrainedModel, 'chunks'>[];
}

export async function readManifests(core: CoreDatabase): Promise<Manifests> {
  const { datasets, models, evaluations, checkpoints, pretrained } = core;
  const tables = [datasets, models, evaluations, checkpoints, pretrained];
  return core.transaction('r', tables, async () => ({
    datasets: await datasets.toArray(),
    models: await models.toArray(),
    evaluations: await evaluations.toArray(),
    checkpoints: await checkpoints.toArray(),
    pretrained: await pretrained.toArray(),
  }));
}

/** What the collector spares: every place of a named chunk, and all places of a run that has a checkpoint. */
export function referencedKeys(manifests: Manifests): KeySet {
  const keys = new Set<string>();
  const add = (refs: readonly ChunkRef[]) => {
    for (const { storageKey } of leaves(refs)) keys.add(storageKey);
  };
  for (const dataset of manifests.datasets) add(storedDatasetChunks(dataset));
  for (const model of manifests.models) add(modelChunks(model));
  for (const { chunks } of manifests.pretrained) add(chunks);
  for (const row of manifests.evaluations) add(evaluationChunks(row));
  // Both slots, however many parts: the one that does not count may be half written at any moment.
  const runs = new Set(manifests.checkpoints.map(({ runId }) => runId));
  return { has: (key) => keys.has(key) || runs.has(runOfCheckpoint(key) ?? '') };
}
