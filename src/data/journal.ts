/**
 * The store as one import sees it: what is written through it is noted in the import's journal, the manifest closes
 * that, and however else the import ends, all that it wrote is given up.
 */
import { AppError } from '../core/errors';
import type { ImportStart } from '../protocol/imports';
import type { DataStore } from './dataset';

export async function journalled<T>(
  store: DataStore,
  start: ImportStart,
  onStop: (stop: () => void) => void,
  work: (store: DataStore) => Promise<T>,
): Promise<T> {
  const writing = new Set<Promise<unknown>>();
  let over = false;
  const beginning = store.beginImport(start);

  async function giveUp(): Promise<void> {
    over = true;
    try {
      const id = await beginning;
      // What is on its way would otherwise arrive after the clearing up.
      await Promise.allSettled(writing);
      await store.discardImport(id);
    } catch (error) {
      // The answer to the person is given already; the journal offers it again at the next start.
      console.warn('Chunks of an import were left behind.', error);
    }
  }
  onStop(() => {
    if (!over) void giveUp();
  });

  const id = await beginning;
  async function unlessOver<R>(write: () => Promise<R>): Promise<R> {
    if (over) throw new AppError('data/cancelled', 'Reading was cancelled; nothing was kept.');
    const written = write();
    writing.add(written);
    try {
      return await written;
    } finally {
      writing.delete(written);
    }
  }
  const own: DataStore = {
    ...store,
    putChunk: (bytes) => unlessOver(() => store.putChunk(bytes, id)),
    putDataset: (manifest) => unlessOver(() => store.putDataset(manifest, id)),
    discardChunks: (refs) => (over ? Promise.resolve() : store.discardChunks(refs, id)),
  };
  try {
    const result = await work(own);
    over = true;
    return result;
  } catch (error) {
    if (!over) await giveUp();
    throw error;
  }
}
