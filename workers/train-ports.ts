/** What the train worker reaches outside itself: the store over its port, and the studio's own files. */
import * as Comlink from 'comlink';
import { AppError } from '../src/core/errors';
import type { TrainStore } from '../src/training/train-api';

/** Buffers move instead of being copied. */
export function openTrainStore(port: MessagePort): TrainStore {
  const remote = Comlink.wrap<TrainStore>(port);
  const { getCheckpoint, getPretrained, getPretrainedFile, getFeatures } = remote;
  const { getSetting, setSetting } = remote;
  return {
    getCheckpoint,
    getPretrained,
    getPretrainedFile,
    getFeatures,
    getSetting,
    setSetting,
    putFeatures: (key, bytes, of) => remote.putFeatures(key, Comlink.transfer(bytes, [bytes]), of),
    putCheckpoint: (checkpoint, state, best) =>
      remote.putCheckpoint(
        checkpoint,
        Comlink.transfer(state, [state]),
        best && Comlink.transfer(best, [best]),
      ),
  };
}

export async function readStatic(path: string): Promise<Blob> {
  // The worker's script stands in workers/ or assets/, beside the folders of static files.
  const response = await fetch(new URL(`../${path}`, self.location.href));
  if (response.ok) return response.blob();
  throw new AppError(
    'pretrained/not-loaded',
    `The pretrained model could not be loaded (${path}: ${response.status}). Connect to the network once; afterwards it works without.`,
    { path, status: response.status },
  );
}
