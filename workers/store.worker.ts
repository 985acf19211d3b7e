/** The store's worker: the only owner of the databases in a tab. Everything else is in src/storage. */
import '../src/core/trusted-types';
import '../src/core/glass';
import * as Comlink from 'comlink';
import type { StoreApi } from '../src/protocol/api';
import { healthChannel } from '../src/protocol/storage';
import type { HealthMessage } from '../src/protocol/storage';
import { STORE_NAME } from '../src/protocol/tabs';
import { BALLAST_BYTES } from '../src/storage/ballast';
import { createStoreApi } from '../src/storage/store';
import { serve } from './serve';

// The page says by the worker's name where the databases are another's than the first ones (services/workers.ts).
const databases = new URLSearchParams(self.name.split('?')[1]).get('databases') ?? STORE_NAME;
const health = new BroadcastChannel(healthChannel(STORE_NAME));
const store = createStoreApi({
  name: STORE_NAME,
  databases,
  ballastBytes: BALLAST_BYTES,
  onClosed: (why) => health.postMessage({ type: 'closed', why } satisfies HealthMessage),
});

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
