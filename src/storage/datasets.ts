/** Dataset versions: immutable, named by the hash of their manifest, shared by all projects. */
import type { StoreApi } from '../protocol/api';
import type { DatasetVersion, Id } from '../protocol/entities';
import type { StoreContext } from './context';
import { found } from './errors';
import { closeImport, interruptedRows } from './imports';
import { altered, isIntact } from './intact';
import { hashRecord } from './record-hash';
import { datasetChunks } from './references';
import { isUnreadable } from './unreadable';

type DatasetMethods = Pick<StoreApi, 'putDataset' | 'getDataset' | 'listDatasets'>;

export function datasetMethods(context: StoreContext): DatasetMethods {
  const { datasets, imports } = context.core;

  /** What the import wrote and its manifest does not name, and all that a crashed one of the same file left. */
  async function afterImport(closed: readonly Id[]): Promise<void> {
    await context.chunks.releaseHeld(new Set(closed));
    if (closed.length > 1)
      await context.whileNotCollecting('exclusive', () => context.sweep(false));
  }

  /** Checked once each: a description does not change while the store is open. */
  const intact = new Set<Id>();

  return {
    async putDataset(manifest, importId) {
      const id = await hashRecord(manifest);
      const refs = datasetChunks(manifest);
      const dataset: DatasetVersion = { id, createdAt: context.now(), manifest };
      const what = `The dataset “${manifest.name}”`;
      if (importId === undefined) {
        return context.publish(what, refs, () =>
          context.write('the dataset', [datasets], () => addDataset(context, dataset)),
        );
      }
      const interrupted = await interruptedRows(context);
      let closed: readonly Id[] = [];
      const added = await context.publish(what, refs, () =>
        context.write('the dataset', [datasets, imports], async () => {
          closed = await closeImport(context, importId, interrupted);
          return addDataset(context, dataset);
        }),
      );
      context.importLocks.release(importId);
      await context.tidy(afterImport(closed));
      return added;
    },

    async getDataset(id) {
      const row = await context.read('a dataset', [datasets], () => datasets.get(id));
      const dataset = found(row, 'dataset', id);
      if (!intact.has(id) && !(await isIntact(dataset))) throw altered(dataset);
      intact.add(id);
      return dataset;
    },

    async listDatasets() {
      const rows = await context.read('the datasets', [datasets], () => datasets.toArray());
      return rows.sort((a, b) => a.createdAt - b.createdAt);
    },
  };
}

/** Of one id they are the same, unless what was read is damaged. */
function same(a: DatasetVersion, b: DatasetVersion): boolean {
  return JSON.stringify(a.manifest) === JSON.stringify(b.manifest);
}

/** Inside a transaction. The one already there stays, unless its rows were left out and these are whole. */
export async function addDataset(
  { core }: StoreContext,
  dataset: DatasetVersion,
): Promise<DatasetVersion> {
  const existing = await core.datasets.get(dataset.id).catch((error: unknown) => {
    // Written over, and whole again.
    if (isUnreadable(error)) return undefined;
    throw error;
  });
  const fuller = existing?.rowsLeftOut && !dataset.rowsLeftOut;
  if (existing && !fuller && (dataset.rowsLeftOut || same(existing, dataset))) return existing;
  await core.datasets.put(dataset);
  return dataset;
}
