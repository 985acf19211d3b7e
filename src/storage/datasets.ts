/** Dataset versions: immutable, named by the hash of their manifest, shared by all projects. */
import type { StoreApi } from '../protocol/api';
import type { DatasetVersion } from '../protocol/entities';
import type { StoreContext } from './context';
import { found } from './errors';
import { hashRecord } from './record-hash';
import { datasetChunks } from './references';

type DatasetMethods = Pick<StoreApi, 'putDataset' | 'getDataset' | 'listDatasets'>;

export function datasetMethods(context: StoreContext): DatasetMethods {
  const { datasets } = context.core;
  return {
    async putDataset(manifest) {
      const id = await hashRecord(manifest);
      const refs = datasetChunks(manifest);
      return context.publish(`The dataset “${manifest.name}”`, refs, [datasets], () =>
        addDataset(context, { id, createdAt: context.now(), manifest }),
      );
    },

    async getDataset(id) {
      return found(
        await context.read('a dataset', [datasets], () => datasets.get(id)),
        'dataset',
        id,
      );
    },

    async listDatasets() {
      const rows = await context.read('the datasets', [datasets], () => datasets.toArray());
      return rows.sort((a, b) => a.createdAt - b.createdAt);
    },
  };
}

/** Inside a transaction. The one already there stays, unless its rows were left out and these are whole. */
export async function addDataset(
  { core }: StoreContext,
  dataset: DatasetVersion,
): Promise<DatasetVersion> {
  const existing = await core.datasets.get(dataset.id);
  if (existing && !(existing.rowsLeftOut && !dataset.rowsLeftOut)) return existing;
  await core.datasets.put(dataset);
  return dataset;
}
