/**
 * Erasing for good. Records go in one strict transaction; bytes that nothing else names go right after, under
 * the collector's lock. A crash between the two leaves garbage, which the next start removes.
 */
import type { ChunkRef, Id, Timestamp } from '../protocol/entities';
import type { StoreContext } from './context';
import { leaves } from './chunks';
import type { KeySet } from './chunks';
import { found, guarded } from './errors';
import {
  checkpointChunks,
  evaluationChunks,
  modelChunks,
  readManifests,
  referencedKeys,
  storedDatasetChunks,
} from './references';
import type { Manifests } from './references';

export const TRASH_DAYS = 30;
const TRASH_MS = TRASH_DAYS * 24 * 60 * 60 * 1000;

export interface Deletion {
  readonly runs: number;
  readonly models: number;
  /** Freed, because nothing outside the project names them. */
  readonly bytes: number;
}

/** What goes with the project. */
export async function deletionOf(context: StoreContext, id: Id): Promise<Deletion> {
  const { core } = context;
  return context.read('the project', core.tables, async () => {
    found(await core.projects.get(id), 'project', id);
    const runIds = new Set(await core.runs.where({ projectId: id }).primaryKeys());
    const modelIds = new Set(await core.models.where({ projectId: id }).primaryKeys());
    const evaluationIds = new Set(await core.evaluations.where({ projectId: id }).primaryKeys());
    const datasetIds = new Set(await ownDatasets(context, id));
    const all = await readManifests(core);
    const kept: Manifests = {
      datasets: all.datasets.filter((dataset) => !datasetIds.has(dataset.id)),
      models: all.models.filter((model) => !modelIds.has(model.id)),
      evaluations: all.evaluations.filter((row) => !evaluationIds.has(row.id)),
      checkpoints: all.checkpoints.filter((row) => !runIds.has(row.runId)),
      pretrained: all.pretrained,
    };
    return {
      runs: runIds.size,
      models: modelIds.size,
      bytes: bytesOnlyIn(all, referencedKeys(kept)),
    };
  });
}

function bytesOnlyIn(manifests: Manifests, kept: KeySet): number {
  const refs: ChunkRef[] = [
    ...manifests.datasets.flatMap(storedDatasetChunks),
    ...manifests.models.flatMap(modelChunks),
    ...manifests.evaluations.flatMap(evaluationChunks),
    ...manifests.checkpoints.flatMap(checkpointChunks),
  ];
  const sizes = new Map(leaves(refs).map((ref) => [ref.storageKey, ref.bytes]));
  let bytes = 0;
  for (const [key, size] of sizes) if (!kept.has(key)) bytes += size;
  return bytes;
}

/** Inside a transaction: datasets that this project used and no other ever did. */
async function ownDatasets({ core }: StoreContext, projectId: Id): Promise<Id[]> {
  const own: Id[] = [];
  for (const { datasetId } of await core.links.where({ projectId }).toArray()) {
    if ((await core.links.where({ datasetId }).count()) === 1) own.push(datasetId);
  }
  return own;
}

/** Returns the bytes freed. */
export async function eraseProject(context: StoreContext, id: Id): Promise<number> {
  context.assertWritable();
  return context.whileNotCollecting('exclusive', async () => {
    await eraseRecords(context, id);
    context.claims.drop(id);
    return context.sweep(false);
  });
}

async function eraseRecords(context: StoreContext, id: Id): Promise<void> {
  const { core } = context;
  await context.writeProject(id, 'the erasure', core.tables, async () => {
    await deleteRecords(context, id);
    // A tab that was overtaken finds no epoch at all.
    await core.writers.delete(id);
  });
}

/** Inside a transaction over all tables. */
export async function deleteRecords(context: StoreContext, id: Id): Promise<void> {
  const { core } = context;
  found(await core.projects.get(id), 'project', id);
  const runIds = await core.runs.where({ projectId: id }).primaryKeys();
  await core.checkpoints.bulkDelete(runIds);
  await core.evaluations.where({ projectId: id }).delete();
  await core.models.where({ projectId: id }).delete();
  await core.runs.where({ projectId: id }).delete();
  await core.datasets.bulkDelete(await ownDatasets(context, id));
  await core.links.where({ projectId: id }).delete();
  await core.projects.delete(id);
}

/** What lay in the trash, or was imported and never used, for 30 days. Records only: a sweep follows. */
export async function purgeExpired(context: StoreContext): Promise<void> {
  const { core } = context;
  const expired = (since: Timestamp | null) => since !== null && context.now() - since > TRASH_MS;
  const projects = (await core.projects.toArray()).filter((row) => expired(row.trashedAt));
  for (const { id } of projects) await eraseRecords(context, id);
  const models = (await core.models.toArray()).filter((row) => expired(row.trashedAt));
  for (const { id, projectId } of models) await eraseModel(context, id, projectId);
  await context.write('the clearing up', [core.datasets, core.links], async () => {
    for (const { id, createdAt } of await core.datasets.toArray()) {
      const unused = (await core.links.where({ datasetId: id }).count()) === 0;
      if (unused && expired(createdAt)) await core.datasets.delete(id);
    }
  });
}

/** The model with its evaluations; what was made from it forgets its parent. */
async function eraseModel(context: StoreContext, id: Id, projectId: Id): Promise<void> {
  const { models, evaluations, runs } = context.core;
  await context.writeProject(projectId, 'the erasure', [models, evaluations, runs], async () => {
    const inProject = { projectId };
    // As lists, here as everywhere: a cursor would stop at a record that cannot be read.
    const judged = (await evaluations.where(inProject).toArray()).filter(
      (row) => row.modelVersionId === id,
    );
    await evaluations.bulkDelete(judged.map((row) => row.id));
    const made = (await runs.where(inProject).toArray()).filter((run) => run.modelVersionId === id);
    await runs.bulkPut(made.map((run) => ({ ...run, modelVersionId: null })));
    const children = (await models.where(inProject).toArray()).filter(
      (model) => model.parentId === id,
    );
    await models.bulkPut(children.map((model) => ({ ...model, parentId: null })));
    await models.delete(id);
  });
}

export async function eraseEverything(context: StoreContext): Promise<void> {
  context.assertWritable();
  await context.whileNotCollecting('exclusive', async () => {
    const { core } = context;
    await context.write('the erasure', core.tables, async () => {
      for (const table of core.tables) await table.clear();
    });
    // Whoever still writes in another tab finds no epoch, and aborts.
    context.claims.dropAll();
    context.tell({ type: 'erased' });
    const { features, featureInfo } = context.cache;
    await guarded('the erasure', () => Promise.all([features.clear(), featureInfo.clear()]));
    await context.sweep(true);
  });
}
