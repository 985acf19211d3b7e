/**
 * What a frozen body answered to the rows of a dataset, kept so that the next run with the same body starts at
 * once. A cache in the full sense: the least recently used goes when the rest needs room, and nothing names it.
 */
import type { StoreApi } from '../protocol/api';
import type { StoreContext } from './context';
import { guarded } from './errors';

/** All of it together. */
export const FEATURE_CACHE_BYTES = 384 * 2 ** 20;
/** One of them: Chromium keeps no value above 127 MB. What is larger is looked at anew by each run. */
export const FEATURES_BYTES = 120 * 2 ** 20;

/** @param room for all of them together */
export function featureMethods(
  context: StoreContext,
  room = FEATURE_CACHE_BYTES,
): Pick<StoreApi, 'putFeatures' | 'getFeatures'> {
  const { features, featureInfo } = context.cache;
  const inOne = <T>(body: () => Promise<T>): Promise<T> =>
    guarded('the features of a body', () =>
      context.cache.transaction('rw', features, featureInfo, async () => await body()),
    );

  return {
    async putFeatures(key, bytes, datasetId) {
      context.assertWritable();
      // They say much about the rows: what lies here is in the open.
      if (datasetId !== undefined && !(await context.core.datasets.get(datasetId))) return;
      const size = bytes.byteLength;
      if (size > Math.min(room, FEATURES_BYTES)) return;
      await inOne(async () => {
        let total = size;
        const spare: string[] = [];
        // Newest first: what no longer fits beside the newer ones goes.
        for (const row of await featureInfo.orderBy('usedAt').reverse().toArray()) {
          if (row.key === key) continue;
          total += row.size;
          if (total > room) spare.push(row.key);
        }
        await features.bulkDelete(spare);
        await featureInfo.bulkDelete(spare);
        await features.put({ key, bytes });
        await featureInfo.put({ key, size, usedAt: context.now() });
      });
    },

    async getFeatures(key) {
      const row = await guarded('the features of a body', () => features.get(key));
      if (!row) return null;
      const touch = () => inOne(() => featureInfo.update(key, { usedAt: context.now() }));
      if (!context.readOnly) await context.tidy(touch());
      return row.bytes;
    },
  };
}
