/**
 * What a frozen body answered to the rows of a dataset, kept so that the next run with the same body starts at
 * once. A cache in the full sense: the least recently used goes when the rest needs room, and nothing names it.
 */
import type { StoreApi } from '../protocol/api';
import type { StoreContext } from './context';
import { guarded } from './errors';

/** All of it together. 100,000 rows of 1,280 numbers are just below. */
export const FEATURE_CACHE_BYTES = 512 * 2 ** 20;

export function featureMethods(
  context: StoreContext,
): Pick<StoreApi, 'putFeatures' | 'getFeatures'> {
  const { cache } = context;

  return {
    async putFeatures(key, bytes) {
      context.assertWritable();
      if (bytes.byteLength > FEATURE_CACHE_BYTES) return;
      await guarded('the features of a body', () =>
        cache.transaction('rw', cache.features, async () => {
          await cache.features.delete(key);
          let total = bytes.byteLength;
          const spare: string[] = [];
          // Newest first: what no longer fits beside the newer ones goes.
          for (const row of await cache.features.orderBy('usedAt').reverse().toArray()) {
            total += row.bytes.byteLength;
            if (total > FEATURE_CACHE_BYTES) spare.push(row.key);
          }
          await cache.features.bulkDelete(spare);
          await cache.features.put({ key, bytes, usedAt: context.now() });
        }),
      );
    },

    async getFeatures(key) {
      const row = await guarded('the features of a body', () => cache.features.get(key));
      if (!row) return null;
      if (!context.readOnly) {
        await context.tidy(
          guarded('the features of a body', () =>
            cache.features.update(key, { usedAt: context.now() }),
          ),
        );
      }
      return row.bytes;
    },
  };
}
