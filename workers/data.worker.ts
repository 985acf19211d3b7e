/** Entry of the data worker: brings src/data its store, its disposable parsers and the sample files. */
import '../src/core/trusted-types';
import '../src/core/glass';
import * as Comlink from 'comlink';
import { AppError } from '../src/core/errors';
import { createDataApi } from '../src/data/api';
import type { DataStore } from '../src/data/dataset';
import { spawnParser } from './parsers';
import { serve } from './serve';

function openStore(port: MessagePort): DataStore {
  const store = Comlink.wrap<DataStore>(port);
  const { getChunk, putDataset, getDataset, discardChunks, beginImport, discardImport } = store;
  const putChunk: DataStore['putChunk'] = (b, importId) =>
    store.putChunk(Comlink.transfer(b, [b]), importId);
  const reading = { getChunk, getDataset };
  return { ...reading, putChunk, putDataset, discardChunks, beginImport, discardImport };
}

async function readStatic(path: string): Promise<Blob> {
  // This script stands in workers/ or assets/, the samples beside that folder.
  const response = await fetch(new URL(`../data/${path}`, self.location.href));
  if (response.ok) return response.blob();
  throw new AppError('data/sample-absent', `The sample ${path} is not here. Reload the page.`);
}

serve(createDataApi({ openStore, spawnParser, readStatic }));
