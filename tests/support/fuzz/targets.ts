/**
 * Every parser that runs without a browser: a small valid corpus, what it does with a file, the codes that it may refuse
 * with, and how many bytes of buffers it may make for a file of some kilobytes.
 */
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { buildBlueprint } from '../../../src/blueprints/build';
import { AppError } from '../../../src/core/errors';
import { parseCells, parseTable } from '../../../src/data/readers/table';
import { predictionTable } from '../../../src/data/predict';
import { readPictureHeader } from '../../../src/data/pictures/header';
import { PICTURE_LIMITS } from '../../../src/data/pictures/limits';
import { PictureZip } from '../../../src/data/pictures/zip';
import { readSafetensors, writeSafetensors } from '../../../src/importers/safetensors';
import { inspectModel } from '../../../src/inference/inspect';
import { checkGraph } from '../../../src/onnx/check';
import { graphHash } from '../../../src/onnx/hash';
import { readModel } from '../../../src/onnx/reader';
import { writeModel } from '../../../src/onnx/writer';
import { parseJobText } from '../../../src/protocol/job';
import type { Architecture, PretrainedFile } from '../../../src/protocol/pretrained';
import { readPretrained } from '../../../src/training/picked-model';
import { openGraph } from '../../../src/viewer/picture';
import { tinyMlp } from '../../unit/onnx/graphs';
import { BLOB_RECIPE } from '../blobs';
import { tinyClassifier } from '../tiny-body';
import { ADAPTERS, applied, externalModel, JOBS, kerasFiles, tinyKeras, zipOf } from './seeds';
import type { Kind } from './mutate';

export interface Target {
  readonly kind: Kind;
  readonly refuses: RegExp;
  /** Bytes of buffers. */
  readonly budget: number;
  seeds(): Promise<readonly Uint8Array[]>;
  run(bytes: Uint8Array<ArrayBuffer>): Promise<void>;
}

const MB = 2 ** 20;
const quiet = (): void => undefined;
const FIXTURES = join(process.cwd(), 'tests', 'fixtures');

/** Files of a folder of fixtures that are no larger than this. */
async function fixtures(folder: string, ending: RegExp, most = 20_000): Promise<Uint8Array[]> {
  const names = (await readdir(join(FIXTURES, folder))).filter((name) => ending.test(name)).sort();
  const files = await Promise.all(names.map((name) => readFile(join(FIXTURES, folder, name))));
  return files.filter(({ length }) => length <= most).map((file) => new Uint8Array(file));
}

function holds(condition: boolean, what: string): void {
  if (!condition) throw new Error(`accepted, but ${what}`);
}

const text = (content: string): Uint8Array => new TextEncoder().encode(content);
const tables = async (): Promise<Uint8Array[]> => [
  ...(await fixtures('data/tables', /\.(csv|data)$/)),
  text('x,y,cloud\n1,2,a\n3.5,-4,b\n"5","6,7",c\n'),
  text('__proto__;constructor;toString\n1;2;3\n4;5;6\n'),
];

async function readTable(bytes: Uint8Array<ArrayBuffer>): Promise<void> {
  const { rows, columns } = await parseTable(new Blob([bytes]));
  holds(rows > 0 && columns.length > 0, 'it has no rows or no columns');
  holds(new Set(columns.map(({ name }) => name)).size === columns.length, 'names come twice');
  for (const column of columns) {
    const values = column.storage === 'codes' ? column.codes : column.values;
    holds(values.length === rows, `"${column.name}" has ${values.length} of ${rows} rows`);
    if (column.storage !== 'codes') continue;
    const { codes, vocabulary } = column;
    holds(
      codes.every((code) => code >= -1 && code < vocabulary.length),
      'a code means nothing',
    );
  }
}

async function readForPrediction(bytes: Uint8Array<ArrayBuffer>): Promise<void> {
  const cells = await parseCells(new Blob([bytes]));
  holds(
    cells.cells.every(({ length }) => length === cells.header.length),
    'rows differ in width',
  );
  predictionTable(cells, BLOB_RECIPE);
}

const models = async (): Promise<Uint8Array[]> => [
  ...(await fixtures('onnx/old', /\.onnx$/)),
  ...(await fixtures('onnx/exported', /\.onnx$/, 4000)),
  writeModel(tinyMlp()),
];

async function readGraph(bytes: Uint8Array<ArrayBuffer>): Promise<void> {
  const graph = readModel(bytes);
  checkGraph(graph);
  await graphHash(graph);
}

/** A runtime that opens everything: what is tried is our reading. */
const runtime = {
  open: () =>
    Promise.resolve({ run: () => Promise.reject(new Error()), release: () => Promise.resolve() }),
};

async function inspect(bytes: Uint8Array<ArrayBuffer>): Promise<void> {
  await inspectModel(bytes.buffer, runtime as never);
  const picture = openGraph(readModel(bytes), null);
  picture.picture.nodes.slice(0, 20).forEach((_, node) => picture.details(node));
}

const MLP: Architecture = {
  blueprint: { kind: 'mlp', hidden: [4], activation: 'relu', dropout: 0 },
  featureDims: [3],
  outputs: 2,
};

async function pretrained(
  files: readonly PretrainedFile[],
  into: Architecture | null = null,
): Promise<void> {
  const { summary, file } = await readPretrained(files, into, quiet);
  holds(file.size > 0 && summary.inputs.length >= 0, 'there is nothing of it');
}

const alone = (path: string, bytes: Uint8Array<ArrayBuffer>): PretrainedFile[] => [
  { path, file: new Blob([bytes]) },
];

async function readZip(bytes: Uint8Array<ArrayBuffer>): Promise<void> {
  const zip = await PictureZip.open(new Blob([bytes]));
  for (let index = 0; index < zip.names.length; index++) {
    try {
      const { size } = await zip.read(index);
      holds(size <= PICTURE_LIMITS.fileBytes, 'an entry is larger than pictures may be');
    } catch (error) {
      // Of one entry; the others are read all the same.
      if (!(error instanceof AppError) || !error.code.startsWith('data/')) throw error;
    }
  }
}

const MODEL_CODES = /^(onnx|pretrained|import|surgery|ops|shape|lora|file)\//;

export const TARGETS: Readonly<Record<string, Target>> = {
  table: { kind: 'bytes', refuses: /^data\//, budget: 64 * MB, seeds: tables, run: readTable },
  prediction: {
    kind: 'bytes',
    refuses: /^data\//,
    budget: 16 * MB,
    seeds: tables,
    run: readForPrediction,
  },
  onnx: { kind: 'protobuf', refuses: /^onnx\//, budget: 4 * MB, seeds: models, run: readGraph },
  'onnx with files beside it': {
    kind: 'protobuf',
    refuses: MODEL_CODES,
    budget: 8 * MB,
    seeds: async () => [externalModel()],
    run: (bytes) =>
      pretrained([...alone('m/net.onnx', bytes), ...alone('m/w.bin', new Uint8Array(64))]),
  },
  'onnx to look at': {
    kind: 'protobuf',
    refuses: MODEL_CODES,
    budget: 16 * MB,
    seeds: models,
    run: inspect,
  },
  'onnx to start from': {
    kind: 'protobuf',
    refuses: MODEL_CODES,
    budget: 64 * MB,
    seeds: async () => [writeModel(tinyClassifier()), writeModel(tinyMlp())],
    run: (bytes) => pretrained(alone('net.onnx', bytes)),
  },
  keras: {
    kind: 'json',
    refuses: MODEL_CODES,
    budget: 64 * MB,
    seeds: async () => tinyKeras().map(({ modelJson }) => text(modelJson)),
    run: (bytes) => pretrained(kerasFiles(bytes)),
  },
  'keras weights': {
    kind: 'bytes',
    refuses: MODEL_CODES,
    budget: 16 * MB,
    seeds: async () => [tinyKeras()[0]?.shard ?? new Uint8Array()],
    run: (bytes) => pretrained(kerasFiles(text(tinyKeras()[0]?.modelJson ?? ''), bytes)),
  },
  'teachable machine': {
    kind: 'json',
    refuses: MODEL_CODES,
    budget: 16 * MB,
    seeds: async () => [text('{"tmVersion":"2.4","labels":["a","b"],"imageSize":16}')],
    run: (bytes) =>
      pretrained([
        ...kerasFiles(text(tinyKeras()[0]?.modelJson ?? '')),
        ...alone('k/metadata.json', bytes),
      ]),
  },
  safetensors: {
    kind: 'safetensors',
    refuses: /^import\/safetensors$/,
    budget: 4 * MB,
    seeds: async () => {
      const { initializers } = tinyMlp();
      const metadata = new Map([['made', 'here']]);
      return [writeSafetensors({ tensors: initializers, metadata })];
    },
    run: async (bytes) => {
      const { tensors } = readSafetensors(bytes);
      let bytesOf = 0;
      for (const { data } of tensors.values()) {
        bytesOf += Array.isArray(data) ? 0 : data.byteLength;
      }
      holds(bytesOf <= bytes.length, 'tensors share bytes');
      return Promise.resolve();
    },
  },
  'weights alone': {
    kind: 'safetensors',
    refuses: MODEL_CODES,
    budget: 16 * MB,
    seeds: async () => {
      const { blueprint, featureDims, outputs } = MLP;
      const { initializers } = buildBlueprint(blueprint, { featureDims, outputs, seed: 1 });
      return [writeSafetensors({ tensors: initializers, metadata: new Map() })];
    },
    run: (bytes) => pretrained(alone('w.safetensors', bytes), MLP),
  },
  adapter: {
    kind: 'safetensors',
    refuses: MODEL_CODES,
    budget: 16 * MB,
    seeds: ADAPTERS,
    run: applied,
  },
  job: {
    kind: 'json',
    refuses: /^job\/invalid$/,
    budget: MB,
    seeds: async () => JOBS.map(text),
    run: async (bytes) => {
      const job = parseJobText(await new Blob([bytes]).text());
      holds(job.format === 1, 'it is of another format');
    },
  },
  'picture header': {
    kind: 'bytes',
    refuses: /^data\/picture-|^data\/not-a-picture$/,
    budget: MB,
    seeds: () => fixtures('pictures/good', /./),
    run: async (bytes) => {
      const { width, height } = readPictureHeader(bytes);
      holds(width > 0 && height > 0 && width * height <= PICTURE_LIMITS.pixels, 'too large');
      return Promise.resolve();
    },
  },
  zip: {
    kind: 'zip',
    refuses: /^data\/zip-/,
    budget: 16 * MB,
    seeds: async () => [
      zipOf({ 'cat/a.png': new Uint8Array(300).fill(7), 'dog/b.png': text('not a picture') }),
      zipOf({}),
    ],
    run: readZip,
  },
};
