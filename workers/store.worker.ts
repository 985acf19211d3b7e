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
import { Witness } from '../src/storage/witness';
import { serve } from './serve';
import { handingOver } from './store-buffers';

// The page says by the worker's name where the databases are another's than the first ones (services/workers.ts).
const databases = new URLSearchParams(self.name.split('?')[1]).get('databases') ?? STORE_NAME;
const health = new BroadcastChannel(healthChannel(STORE_NAME));
const tell = (message: HealthMessage) => health.postMessage(message);
const store = createStoreApi({
  name: STORE_NAME,
  databases,
  ballastBytes: BALLAST_BYTES,
  witness: new Witness(databases),
  onClosed: (why) => tell({ type: 'closed', why }),
  onSaved: (mark) => tell({ type: 'saved', mark }),
  onUnreadable: (record) => tell({ type: 'unreadable', record }),
});

const api: StoreApi = {
  ...store,
  ...handingOver(store),
  connect(port) {
    Comlink.expose(api, port);
  },
};

serve(api);
