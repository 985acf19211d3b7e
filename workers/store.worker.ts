/** The store's worker: the only owner of the databases in a tab. Everything else is in src/storage. */
import '../src/core/trusted-types';
import '../src/core/glass';
import * as Comlink from 'comlink';
import type { StoreApi } from '../src/protocol/api';
import { createStoreApi } from '../src/storage/store';
import { serve } from './serve';

const store = createStoreApi();

const api: StoreApi = {
  ...store,
  // Buffers leave by transfer: nobody here keeps them.
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
    return found && Comlink.transfer(found, found.best ? [found.state, found.best] : [found.state]);
  },
  connect(port) {
    Comlink.expose(api, port);
  },
};

serve(api);
