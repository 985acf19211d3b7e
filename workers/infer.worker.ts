/** Entry of the infer worker: wires the store's port, the runtime and the CSV writer into createInferApi. */
import '../src/core/trusted-types';
import '../src/core/glass';
import * as Comlink from 'comlink';
import { AppError } from '../src/core/errors';
import { writeCsv } from '../src/core/csv-write';
import { createInferApi } from '../src/inference/api';
import { createOrtRuntime } from '../src/inference/ort';
import type { InferApi, StoreApi } from '../src/protocol/api';
import { serve } from './serve';

let store: Comlink.Remote<StoreApi> | null = null;

const api: InferApi = {
  ...createInferApi({
    runtime: createOrtRuntime,
    writeCsv,
    loadChunk(ref) {
      if (store) return store.getChunk(ref);
      throw new AppError('worker/no-store', 'The infer worker was not connected to the store.');
    },
    async loadPageTemplate() {
      // Beside this script's folder, in the built studio and under the development server alike.
      const response = await fetch(new URL('../generated/export-page.html', self.location.href));
      if (response.ok) return response.text();
      throw new AppError(
        'export/template',
        'This build holds no template for the page. Run `npm run build` once.',
        { status: response.status },
      );
    },
  }),
  connectStore(port) {
    store = Comlink.wrap<StoreApi>(port);
  },
};

serve(api);
