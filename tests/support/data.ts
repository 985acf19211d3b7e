/** A store of datasets in memory, and the data API on top of it, for tests without a browser. */
import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createDataApi } from '../../src/data/api';
import { DatasetCache, storeTable } from '../../src/data/dataset';
import { parseCells, parseTable } from '../../src/data/readers/table';
import type { ModelParser } from '../../src/protocol/model-files';
import type { DataStore, Dataset, TableData } from '../../src/data/dataset';
import type { ReadStatic } from '../../src/data/embedded';
import type { PictureParser } from '../../src/data/pictures/decode';
import type { DataApi } from '../../src/protocol/api';
import type { DatasetVersion } from '../../src/protocol/entities';

function sha256(data: string | Uint8Array): string {
  return createHash('sha256').update(data).digest('hex');
}

export function memoryStore(): DataStore {
  const chunks = new Map<string, ArrayBuffer>();
  const datasets = new Map<string, DatasetVersion>();
  return {
    putChunk(bytes) {
      const key = sha256(new Uint8Array(bytes));
      chunks.set(key, bytes);
      return Promise.resolve({ sha256: key, storageKey: key, bytes: bytes.byteLength });
    },
    getChunk(ref) {
      const bytes = chunks.get(ref.storageKey);
      return bytes ? Promise.resolve(bytes.slice(0)) : Promise.reject(new Error('no such chunk'));
    },
    putDataset(manifest) {
      const dataset = { id: sha256(JSON.stringify(manifest)), createdAt: 0, manifest };
      datasets.set(dataset.id, dataset);
      return Promise.resolve(dataset);
    },
    beginImport: () => Promise.resolve('import'),
    discardImport: () => Promise.resolve({ bytes: 0 }),
    discardChunks(refs) {
      for (const ref of refs) chunks.delete(ref.storageKey);
      return Promise.resolve();
    },
    getDataset(id) {
      const dataset = datasets.get(id);
      return dataset ? Promise.resolve(dataset) : Promise.reject(new Error('no such dataset'));
    },
  };
}

export const readStatic: ReadStatic = async (path) =>
  new Blob([await readFile(join(import.meta.dirname, '../../static/data', path))]);

/** Pictures are decoded by a browser only. */
const nothing = (): Promise<never> => Promise.reject(new Error('no browser'));
export const NO_PICTURES: PictureParser = {
  openZip: nothing,
  measurePicture: nothing,
  decodePicture: nothing,
  cutSheet: nothing,
};

export const NO_MODELS: ModelParser = { readPretrained: nothing, checkModel: nothing };

/** The data API with parsers that run in this process. */
export function memoryDataApi(
  store = memoryStore(),
  pictures: PictureParser = NO_PICTURES,
): DataApi {
  const api = createDataApi({
    openStore: () => store,
    spawnParser: () => ({
      api: {
        parseTable: (file, on) => parseTable(file, on),
        parseCells: (file, on) => parseCells(file, on),
        ...pictures,
        ...NO_MODELS,
      },
      failed: new Promise<never>(() => undefined),
      terminate: () => undefined,
    }),
    readStatic,
  });
  api.connectStore(new MessageChannel().port1);
  return api;
}

export async function tableOf(text: string): Promise<TableData> {
  const store = memoryStore();
  const parsed = await parseTable(new Blob([text]));
  const { id } = await storeTable(store, parsed, 'table', { kind: 'paste', name: 'table' });
  return new DatasetCache(store).table(id);
}

export async function openDataset(
  api: DataApi,
  store: DataStore,
  name: 'penguins' | 'digits' | 'emoji',
): Promise<Dataset> {
  const { dataset } = await api.importEmbedded('import', name, () => undefined);
  return new DatasetCache(store).get(dataset.id);
}
