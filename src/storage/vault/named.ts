/** Every chunk that the records of a database name, both slots of checkpoints included. */
import type { ChunkRef } from '../../protocol/entities';
import { evaluationChunks, modelChunks, readManifests, storedDatasetChunks } from '../references';
import type { Manifests } from '../references';
import type { CheckpointRow, CoreDatabase } from '../schema';

export async function namedChunks(core: CoreDatabase): Promise<readonly ChunkRef[]> {
  return chunksOf(await readManifests(core));
}

export function chunksOf(manifests: Omit<Manifests, 'pretrained'>): readonly ChunkRef[] {
  return [
    ...manifests.datasets.flatMap(storedDatasetChunks),
    ...manifests.models.flatMap(modelChunks),
    ...manifests.evaluations.flatMap(evaluationChunks),
    ...manifests.checkpoints.flatMap(slotChunks),
  ];
}

function slotChunks({ slots }: CheckpointRow): readonly ChunkRef[] {
  return Object.values(slots).flatMap(({ state, best }) => (best ? [state, best] : [state]));
}
