/** Room that is kept back for a full disk: bytes of no use, laid in while there is plenty and given up for a checkpoint. */
import { guarded } from './errors';
import type { StoreContext } from './context';

export const BALLAST_BYTES = 4 * 2 ** 20;
const KEY = 'ballast';
/** Without this many times its size free, none is laid in. */
const ROOM = 8;

/** Gives it up with everything else that can be made anew; returns the bytes. */
export async function freeBallast({ cache }: Pick<StoreContext, 'cache'>): Promise<number> {
  const { features, featureInfo } = cache;
  return guarded('the removal of what can be made anew', () =>
    cache.transaction('rw', features, featureInfo, async () => {
      const kept = await featureInfo.toArray();
      if (kept.length === 0) return 0;
      await features.clear();
      await featureInfo.clear();
      return kept.reduce((bytes, { size }) => bytes + size, 0);
    }),
  );
}

export async function layInBallast({ cache, now, ballastBytes }: StoreContext): Promise<void> {
  const { features, featureInfo } = cache;
  if (ballastBytes === 0 || (await featureInfo.get(KEY))) return;
  const { usage = 0, quota = 0 } = await navigator.storage.estimate();
  if (quota - usage < ballastBytes * ROOM) return;
  const filling = new Uint8Array(ballastBytes);
  // Of chance, because a browser packs what repeats itself.
  for (let at = 0; at < ballastBytes; at += 65_536) {
    crypto.getRandomValues(filling.subarray(at, at + 65_536));
  }
  await guarded('the ballast', () =>
    cache.transaction('rw', features, featureInfo, async () => {
      await features.put({ key: KEY, bytes: filling.buffer });
      await featureInfo.put({ key: KEY, size: ballastBytes, usedAt: now() });
    }),
  );
}
