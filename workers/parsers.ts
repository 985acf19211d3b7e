/** A parse worker for one file of a person's, as the data worker sees it. */
import * as Comlink from 'comlink';
import { AppError } from '../src/core/errors';
import type { FileParser, SpawnedParser } from '../src/data/api';

export function spawnParser(): SpawnedParser {
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
