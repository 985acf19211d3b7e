/** The store's methods whose buffers leave by transfer: nobody in its worker keeps them. */
import * as Comlink from 'comlink';
import type { Store } from '../src/storage/store';

export function handingOver(
  store: Store,
): Pick<Store, 'getChunk' | 'getPretrainedFile' | 'getCheckpoint'> {
  return {
    async getChunk(ref) {
      const bytes = await store.getChunk(ref);
      return Comlink.transfer(bytes, [bytes]);
    },
    async getPretrainedFile(id) {
      const bytes = await store.getPretrainedFile(id);
      return Comlink.transfer(bytes, [bytes]);
    },
    async getCheckpoint(runId) {
      const found = await store.getCheckpoint(runId);
      return (
        found && Comlink.transfer(found, found.best ? [found.state, found.best] : [found.state])
      );
    },
  };
}
