/** Entry of the train worker: wires the store's port, the recipe's compiler and the engines into createTrainApi. */
import '../src/core/trusted-types';
import '../src/core/glass';
import * as Comlink from 'comlink';
import { compileRecipe } from '../src/data/recipe/compile';
import type { TrainApi } from '../src/protocol/api';
import { openExecutor } from '../src/training/executors';
import { createTrainApi } from '../src/training/train-api';
import { openTrainStore, readStatic } from './train-ports';
import { serve } from './serve';

const train = createTrainApi({
  compileRecipe,
  openExecutor,
  openStore: openTrainStore,
  readStatic,
  probe: async (onProgress) => (await import('../src/engine/probe')).probe(onProgress),
});

const api: TrainApi = {
  ...train,
  async run(request, batches, onEvent) {
    const outcome = await train.run(request, batches, onEvent);
    const { model, adapter } = outcome;
    return Comlink.transfer(outcome, adapter ? [model, adapter] : [model]);
  },
};

serve(api);
