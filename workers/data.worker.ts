/** Entry of the data worker: brings src/data its store, its disposable parsers and the sample files. */
import '../src/core/trusted-types';
import '../src/core/glass';
import * as Comlink from 'comlink';
import { AppError } from '../src/core/errors';
import { createDataApi } from '../src/data/api';
import type { FileParser, SpawnedParser } from '../src/data/api';
import type { DataStore } from '../src/data/dataset';
import { serve } from './serve';

function openStore(port: MessagePort): DataStore {
  const store = Comlink.wrap<DataStore>(port);
  const { getChunk, putDataset, getDataset, discardChunks, beginImport, discardImport } = store;
  const putChunk: DataStore['putChunk'] = (b, importId) =>
    store.putChunk(Comlink.transfer(b, [b]), importId);
  const reading = { getChunk, getDataset };
  return { ...reading, putChunk, putDataset, discardChunks, beginImport, discardImport };
}

function spawnParser(): SpawnedParser {
  const worker = new Worker(new URL('./parse.worker.ts', import.meta.url), { type: 'module' });
  const failed = new Promise<never>((_, reject) => {
    worker.onerror = () =>
      reject(new AppError('data/parser-died', 'Reading failed. Choose the file again.'));
  });
  const remote = Comlink.wrap<FileParser>(worker);
  const { openZip, measurePicture, decodePicture, cutSheet, checkModel } = remote;
  const readPretrained: FileParser['readPretrained'] = (files, into, on) =>
    remote.readPretrained(files, into, Comlink.proxy(on));
  const parseTable: FileParser['parseTable'] = (f, on) => remote.parseTable(f, Comlink.proxy(on));
  const parseCells: FileParser['parseCells'] = (f, on) => remote.parseCells(f, Comlink.proxy(on));
  const pictures = { openZip, measurePicture, decodePicture, cutSheet };
  const api = { parseTable, parseCells, ...pictures, checkModel, readPretrained };
  return { api, failed, terminate: () => worker.terminate() };
}

async function readStatic(path: string): Promise<Blob> {
  // This script stands in workers/ or assets/, the samples beside that folder.
  const response = await fetch(new URL(`../data/${path}`, self.location.href));
  if (response.ok) return response.blob();
  throw new AppError('data/sample-absent', `The sample ${path} is not here. Reload the page.`);
}

serve(createDataApi({ openStore, spawnParser, readStatic }));
