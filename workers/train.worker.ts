/** Entry of the train worker: wires the store's port, the recipe's compiler and the engines into createTrainApi. */
import '../src/core/trusted-types';
import * as Comlink from 'comlink';
import { compileRecipe } from '../src/data/recipe/compile';
import { installErrorCodec } from '../src/protocol/errors';
import type { TrainApi } from '../src/protocol/api';
import { openExecutor } from '../src/training/executors';
import { createTrainApi } from '../src/training/train-api';
import type { TrainStore } from '../src/training/train-api';

installErrorCodec(Comlink.transferHandlers);

const train = createTrainApi({
  compileRecipe,
  openExecutor,
  openStore(port): TrainStore {
    const { putCheckpoint, getCheckpoint } = Comlink.wrap<TrainStore>(port);
    return {
      getCheckpoint,
      putCheckpoint: (checkpoint, state, best) =>
        putCheckpoint(
          checkpoint,
          Comlink.transfer(state, [state]),
          best && Comlink.transfer(best, [best]),
        ),
    };
  },
  probe: async (onProgress) => (await import('../src/engine/probe')).probe(onProgress),
});

const api: TrainApi = {
  ...train,
  async run(request, batches, onEvent) {
    const outcome = await train.run(request, batches, onEvent);
    return Comlink.transfer(outcome, [outcome.model]);
  },
};

Comlink.expose(api);
