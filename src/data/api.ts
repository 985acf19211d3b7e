/**
 * The data worker as ordinary code: everything between a file and the batches that a model learns from. It knows
 * neither Comlink nor Worker; the entry (workers/data.worker.ts) brings the store, parsers and static files.
 */
import { AppError } from '../core/errors';
import { BatchMaker } from './batches/batches';
import { featureSource } from './batches/features';
import { serveOnPort } from './batches/serve';
import { Calls } from './calls';
import type { OnStop } from './calls';
import { within } from './deadline';
import { DatasetCache, storeImages, storeTable } from './dataset';
import { importSheets, readHeader, readPictures } from './embedded';
import { columnFindings, inspectDataset } from './findings';
import { journalled } from './journal';
import { readPart } from './part';
import { predictionTable } from './predict';
import { Preparations, describePrepared } from './prepare';
import { importPictures, sourceOf } from './pictures/intake';
import { pictureInput } from './pictures/one';
import { surveyPictures } from './pictures/survey';
import { parseTable } from './readers/table';
import { compileRecipe } from './recipe/compile';
import { readImages, readRows } from './rows';
import { summarise } from './summary';
import { suggestTarget } from './target';
import type { DataApi, ImportResult, OnProgress } from '../protocol/api';
import type { DataSource, Id } from '../protocol/entities';
import type { ImportStart } from '../protocol/imports';
import type { ModelParser } from '../protocol/model-files';
import type { DataStore, ImageData } from './dataset';
import type { ReadStatic } from './embedded';
import type { PictureParser } from './pictures/decode';
import type { ParsedTable, ParserApi } from './readers/table';

/** Everything that reads a file of a person's. */
export type FileParser = ParserApi & PictureParser & ModelParser;

/** Longest silence of a parser over a table (which ends itself before), a picture, or a model. */
const DEADLINES_MS = { table: 11 * 60_000, picture: 60_000, model: 120_000 } as const;

/** A parser of its own for one file, disposable because the file is hostile until parsed. */
export interface SpawnedParser {
  readonly api: FileParser;
  /** Rejects when the parser dies without an answer. */
  readonly failed: Promise<never>;
  terminate(): void;
}

export interface DataHost {
  readonly openStore: (port: MessagePort) => DataStore;
  readonly spawnParser: () => SpawnedParser;
  readonly readStatic: ReadStatic;
}

export function createDataApi(host: DataHost): DataApi {
  const calls = new Calls();
  let store: DataStore | null = null;
  let datasets: DatasetCache | null = null;
  let preparations: Preparations | null = null;
  const opened = <T>(part: T | null): T => {
    if (part === null) {
      throw new AppError(
        'internal/invariant',
        'The data worker was asked before its store was connected.',
      );
    }
    return part;
  };

  /** Runs `use` on a fresh parser that ends with it, and with the call. Each picture has its own deadline. */
  const withParser = async <T>(
    onStop: OnStop,
    deadline: keyof typeof DEADLINES_MS,
    use: (api: FileParser) => Promise<T>,
  ): Promise<T> => {
    const parser = host.spawnParser();
    onStop(() => parser.terminate());
    try {
      const work = Promise.race([use(inTime(parser.api)), parser.failed]);
      return await (deadline === 'picture' ? work : within(DEADLINES_MS[deadline], work));
    } finally {
      parser.terminate();
    }
  };
  const parsed = <T>(
    callId: string,
    deadline: keyof typeof DEADLINES_MS,
    use: (api: FileParser) => Promise<T>,
  ): Promise<T> => calls.run(callId, (onStop) => withParser(onStop, deadline, use));

  /** An import as a call: its journal is open until the dataset is there, or everything is given up. */
  const imported = (
    callId: string,
    start: ImportStart,
    work: (store: DataStore, onStop: OnStop) => Promise<ImportResult>,
  ): Promise<ImportResult> =>
    calls.run(callId, (onStop) =>
      journalled(opened(store), start, onStop, (own) => work(own, onStop)),
    );

  const baseOf = async (id: Id | undefined): Promise<ImageData | null> => {
    const dataset = id === undefined ? null : await opened(datasets).get(id);
    if (dataset === null || dataset.type === 'images') return dataset;
    throw new AppError(
      'data/not-images',
      `"${dataset.manifest.name}" is a table; pictures cannot be added to it.`,
    );
  };

  const keepTable = async (
    store: DataStore,
    table: ParsedTable,
    name: string,
    source: DataSource,
    onProgress: OnProgress,
  ): Promise<ImportResult> => {
    onProgress({ label: 'Storing the table' });
    const dataset = await storeTable(store, table, name, source);
    const { manifest } = dataset;
    const findings = manifest.type === 'table' ? columnFindings(manifest) : [];
    return { dataset, findings, understood: table.understood };
  };

  return {
    connectStore(port) {
      store = host.openStore(port);
      datasets = new DatasetCache(store);
      preparations = new Preparations(datasets);
    },
    importTable(callId, file, { into, ...source }, onProgress) {
      const start = { source, bytes: file.size, ...intoOf(into) };
      return imported(callId, start, async (store, onStop) => {
        const table = await withParser(onStop, 'table', (api) => api.parseTable(file, onProgress));
        return keepTable(store, table, tableName(source.name), source, onProgress);
      });
    },
    importEmbedded(callId, name, onProgress, into) {
      const start = { source: { kind: 'embedded', name }, bytes: null, ...intoOf(into) } as const;
      return imported(callId, start, async (store, onStop) => {
        onProgress({ label: 'Loading the sample' });
        const header = await readHeader(host.readStatic, name);
        if ('sheets' in header) {
          return withParser(onStop, 'picture', (api) =>
            importSheets(store, host.readStatic, api, header, onProgress),
          );
        }
        const { licence, origin } = header;
        const source: DataSource = { kind: 'embedded', name, licence, origin };
        if (header.type === 'table') {
          // Our own file: small and not hostile, so it needs no worker of its own.
          const table = await parseTable(await host.readStatic(header.file));
          return keepTable(store, table, header.name, source, onProgress);
        }
        const { pixels, labels } = await readPictures(host.readStatic, header);
        onProgress({ label: 'Storing the pictures', total: header.rows, unit: 'rows' });
        const { rows, channels, height, width, classes } = header;
        const manifest = { name: header.name, rows, channels, height, width, classes, source };
        const dataset = await storeImages(store, manifest, pixels, labels);
        return { dataset, findings: [], understood: [`${rows} pictures of ${height} × ${width}`] };
      });
    },
    surveyPictures: (callId, source, onProgress) =>
      parsed(callId, 'picture', (api) => surveyPictures(source, api, onProgress)),
    importPictures(callId, source, options, onProgress) {
      const start = {
        source: sourceOf(source, options.name),
        bytes: null,
        ...intoOf(options.into),
      };
      return imported(callId, start, (store, onStop) =>
        withParser(onStop, 'picture', async (parser) => {
          const intake = { store, parser, base: await baseOf(options.addTo), onStop };
          return importPictures(intake, source, options, onProgress);
        }),
      );
    },
    readPicture: (callId, file, recipe) =>
      parsed(callId, 'picture', (api) => pictureInput(api, file, recipe)),
    readPretrained: (callId, files, architecture, onProgress) =>
      parsed(callId, 'model', (api) => api.readPretrained(files, architecture, onProgress)),
    checkModel: (callId, file) => parsed(callId, 'model', (api) => api.checkModel(file)),
    cancel: (callId) => calls.cancel(callId),
    async summarise(datasetId, target) {
      return summarise(await opened(datasets).get(datasetId), target);
    },
    async rows(datasetId, query) {
      return readRows(await opened(datasets).get(datasetId), query);
    },
    async images(datasetId, rows) {
      return readImages(await opened(datasets).get(datasetId), rows);
    },
    async suggestTarget(datasetId) {
      return suggestTarget(await opened(datasets).get(datasetId));
    },
    async inspect(config) {
      return inspectDataset(await opened(datasets).get(config.datasetId), config);
    },
    async prepare(config) {
      return describePrepared(await opened(preparations).get(config));
    },
    async serveBatches(config, port) {
      const { dataset, target, parts, fitted } = await opened(preparations).get(config);
      const { training, seed } = config;
      const { recipe } = fitted;
      const features = await featureSource(dataset, compileRecipe(recipe), recipe, parts, {
        augment: training.augment,
        seed,
      });
      const { batchSize, classWeights } = training;
      const maker = new BatchMaker({
        parts,
        target,
        recipe,
        features,
        batchSize,
        classWeights,
        seed,
      });
      serveOnPort(port, maker);
    },
    async readPart(config, recipe, part, options) {
      return readPart(await opened(preparations).get(config), recipe, part, options);
    },
    async readForPrediction(callId, file, recipe, onProgress) {
      const cells = await parsed(callId, 'table', (api) => api.parseCells(file, onProgress));
      return predictionTable(cells, recipe);
    },
  };
}

/** Each picture, and a zip's table of contents, must answer in time. */
function inTime(api: FileParser): FileParser {
  const soon = <T>(work: Promise<T>): Promise<T> => within(DEADLINES_MS.picture, work);
  return {
    ...api,
    openZip: (file) => soon(api.openZip(file)),
    measurePicture: (picture) => soon(api.measurePicture(picture)),
    decodePicture: (picture, spec) => soon(api.decodePicture(picture, spec)),
  };
}

/** The locked project that an import goes into, where it goes into one. */
function intoOf(into: Id | undefined): { readonly into?: Id } {
  return into === undefined ? {} : { into };
}

/** A file's name without its folder and ending. */
function tableName(file: string): string {
  const name = file.replace(/^.*[\\/]/, '').replace(/\.(csv|tsv|txt|tab)$/i, '');
  return name.trim() === '' ? 'Table' : name;
}
