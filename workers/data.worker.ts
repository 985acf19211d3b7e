/** Entry of the data worker: brings src/data its store, its disposable parsers and the sample files. */
import '../src/core/trusted-types';
import * as Comlink from 'comlink';
import { AppError } from '../src/core/errors';
import { createDataApi } from '../src/data/api';
import { installErrorCodec } from '../src/protocol/errors';
import type { SpawnedParser } from '../src/data/api';
import type { DataStore } from '../src/data/dataset';
import type { ParserApi } from '../src/data/readers/table';

installErrorCodec(Comlink.transferHandlers);

function openStore(port: MessagePort): DataStore {
  const { putChunk, getChunk, putDataset, getDataset } = Comlink.wrap<DataStore>(port);
  return { putChunk: (b) => putChunk(Comlink.transfer(b, [b])), getChunk, putDataset, getDataset };
}

function spawnParser(): SpawnedParser {
  const worker = new Worker(new URL('./parse.worker.ts', import.meta.url), { type: 'module' });
  const failed = new Promise<never>((_, reject) => {
    worker.onerror = () =>
      reject(new AppError('data/parser-died', 'Reading failed. Choose the file again.'));
  });
  const { parseTable, parseCells } = Comlink.wrap<ParserApi>(worker);
  const api: ParserApi = {
    parseTable: (file, onProgress) => parseTable(file, Comlink.proxy(onProgress)),
    parseCells: (file, onProgress) => parseCells(file, Comlink.proxy(onProgress)),
  };
  return { api, failed, terminate: () => worker.terminate() };
}

async function readStatic(path: string): Promise<Blob> {
  // This script stands in workers/ or assets/, the samples beside that folder.
  const response = await fetch(new URL(`../data/${path}`, self.location.href));
  if (response.ok) return response.blob();
  throw new AppError('data/sample-absent', `The sample ${path} is not here. Reload the page.`);
}

Comlink.expose(createDataApi({ openStore, spawnParser, readStatic }));
