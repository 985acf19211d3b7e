/**
 * A stored DatasetVersion opened for reading: columns and pictures come from the store's chunks when first asked
 * for, and stay in memory while the dataset is one of the last two in use. Also the way in: parsed columns
 * become chunks and a manifest.
 */
import { AppError } from '../core/errors';
import type { StoreApi } from '../protocol/api';
import type {
  ChunkRef,
  ColumnManifest,
  DataSource,
  DatasetVersion,
  Id,
  ImagesManifest,
  TableManifest,
} from '../protocol/entities';
import type { ColumnValues } from './readers/columns';
import type { ParsedColumn, ParsedTable } from './readers/table';

/** What the data part needs of the store; a Map does in tests. */
export type DataStore = Pick<
  StoreApi,
  | 'putChunk'
  | 'getChunk'
  | 'putDataset'
  | 'getDataset'
  | 'discardChunks'
  | 'beginImport'
  | 'discardImport'
>;

export type Column = ColumnValues & { readonly manifest: ColumnManifest };

export interface TableData {
  readonly type: 'table';
  readonly id: Id;
  readonly manifest: TableManifest;
  column(name: string): Promise<Column>;
}

export interface ImageData {
  readonly type: 'images';
  readonly id: Id;
  readonly manifest: ImagesManifest;
  readonly pixels: Uint8Array; // [rows, channels, height, width]
  readonly labels: Uint8Array; // [rows]
  /** Which group each picture comes from, where they came in groups. */
  readonly groups: { readonly names: readonly string[]; readonly codes: Uint8Array } | null;
}

export type Dataset = TableData | ImageData;

/** The one column of an image dataset that can be predicted. */
export const IMAGE_TARGET = 'label';
/** Where pictures came in groups: shown and filtered by, never learned from. */
export const GROUP_COLUMN = 'group';

const CHUNK_BYTES = 4 << 20;
/** A longer list of distinct texts is a chunk of its own, so that listing datasets stays quick. */
const INLINE_VOCABULARY = 1000;
const KEPT = 2;
/** Columns written at once: a wide table is not a thousand waits, nor a thousand copies. */
const AT_ONCE = 16;

export class DatasetCache {
  readonly #store: DataStore;
  readonly #open = new Map<Id, Promise<Dataset>>();

  constructor(store: DataStore) {
    this.#store = store;
  }

  get(id: Id): Promise<Dataset> {
    const opened = this.#open.get(id) ?? openDataset(this.#store, id);
    this.#open.delete(id);
    this.#open.set(id, opened);
    for (const old of [...this.#open.keys()].slice(0, -KEPT)) this.#open.delete(old);
    // A failed read (a chunk that was corrupt) must not be remembered.
    opened.catch(() => this.#open.delete(id));
    return opened;
  }

  async table(id: Id): Promise<TableData> {
    const dataset = await this.get(id);
    if (dataset.type === 'table') return dataset;
    throw new AppError(
      'data/not-a-table',
      `"${dataset.manifest.name}" holds pictures, not a table.`,
    );
  }
}

async function openDataset(store: DataStore, id: Id): Promise<Dataset> {
  const { manifest, rowsLeftOut } = await store.getDataset(id);
  if (rowsLeftOut) {
    throw new AppError(
      'data/rows-left-out',
      `The project file came without the rows of "${manifest.name}". Import the original file again to train or evaluate.`,
      { dataset: id },
    );
  }
  if (manifest.type === 'images') {
    const { rows, channels, height, width, classes } = manifest;
    const pixels = new Uint8Array(await joined(store, manifest.pixels));
    const labels = new Uint8Array(await joined(store, manifest.labels));
    const groups = manifest.groups && {
      names: manifest.groups.names,
      codes: new Uint8Array(await joined(store, manifest.groups.chunks)),
    };
    const fits =
      pixels.length === rows * channels * height * width &&
      labels.length === rows &&
      (groups === undefined || groups.codes.length === rows);
    if (
      !fits ||
      labels.some((label) => label >= classes.length) ||
      groups?.codes.some((code) => code >= groups.names.length)
    ) {
      throw damaged(manifest.name);
    }
    return { type: 'images', id, manifest, pixels, labels, groups: groups ?? null };
  }
  const loaded = new Map<string, Promise<Column>>();
  return {
    type: 'table',
    id,
    manifest,
    column(name) {
      const known = loaded.get(name);
      if (known) return known;
      const column = loadColumn(store, manifest, name);
      loaded.set(name, column);
      column.catch(() => loaded.delete(name));
      return column;
    },
  };
}

async function loadColumn(store: DataStore, table: TableManifest, name: string): Promise<Column> {
  const manifest = table.columns.find((column) => column.name === name);
  if (!manifest) {
    throw new AppError(
      'data/unknown-column',
      `"${table.name}" has no column "${name}". Its columns are ${listed(table.columns.map((column) => column.name))}.`,
      { column: name },
    );
  }
  const bytes = await joined(store, manifest.chunks);
  const size = manifest.storage === 'float64' ? 8 : 4;
  if (bytes.byteLength !== table.rows * size) throw damaged(table.name);
  if (manifest.storage === 'float64') {
    return { manifest, storage: 'float64', values: new Float64Array(bytes) };
  }
  const text = manifest.vocabularyChunks
    ? new TextDecoder().decode(await joined(store, manifest.vocabularyChunks))
    : null;
  const vocabulary = text === null ? manifest.vocabulary : (JSON.parse(text) as string[]);
  return { manifest, storage: 'codes', codes: new Int32Array(bytes), vocabulary };
}

/** A project file from elsewhere may describe other rows than it carries. */
function damaged(name: string): AppError {
  return new AppError(
    'data/damaged',
    `The rows of "${name}" do not match their description. Import the original file again.`,
    { name },
  );
}

export function listed(names: readonly string[], most = 12): string {
  const shown = names.slice(0, most).map((name) => `"${name}"`);
  return shown.join(', ') + (names.length > most ? ` and ${names.length - most} more` : '');
}

async function joined(store: DataStore, refs: readonly ChunkRef[]): Promise<ArrayBuffer> {
  const total = refs.reduce((sum, ref) => sum + ref.bytes, 0);
  const all = new Uint8Array(total);
  let at = 0;
  for (const ref of refs) {
    all.set(new Uint8Array(await store.getChunk(ref)), at);
    at += ref.bytes;
  }
  return all.buffer;
}

export async function putBytes(store: DataStore, bytes: Uint8Array): Promise<ChunkRef[]> {
  const refs: ChunkRef[] = [];
  for (let start = 0; start < bytes.length; start += CHUNK_BYTES) {
    // The chunk is transferred away, so it has to be a buffer of its own.
    refs.push(await store.putChunk(bytes.slice(start, start + CHUNK_BYTES).buffer as ArrayBuffer));
  }
  return refs;
}

export async function storeTable(
  store: DataStore,
  table: ParsedTable,
  name: string,
  source: DataSource,
): Promise<DatasetVersion> {
  const columns: ColumnManifest[] = [];
  for (let start = 0; start < table.columns.length; start += AT_ONCE) {
    const some = table.columns.slice(start, start + AT_ONCE);
    columns.push(...(await Promise.all(some.map((column) => storeColumn(store, column)))));
  }
  return store.putDataset({ format: 1, type: 'table', name, rows: table.rows, columns, source });
}

async function storeColumn(store: DataStore, column: ParsedColumn): Promise<ColumnManifest> {
  const values = column.storage === 'float64' ? column.values : column.codes;
  const vocabulary = column.storage === 'codes' ? column.vocabulary : [];
  const long = vocabulary.length > INLINE_VOCABULARY;
  return {
    name: column.name,
    kind: column.kind,
    storage: column.storage,
    vocabulary: long ? [] : vocabulary,
    ...(long && {
      vocabularyChunks: await putBytes(store, new TextEncoder().encode(JSON.stringify(vocabulary))),
    }),
    missing: column.missing,
    distinct: column.distinct,
    ...(column.min !== undefined && { min: column.min, max: column.max ?? column.min }),
    chunks: await putBytes(store, new Uint8Array(values.buffer)),
  };
}

export async function storeImages(
  store: DataStore,
  images: Omit<ImagesManifest, 'format' | 'type' | 'pixels' | 'labels'>,
  pixels: Uint8Array,
  labels: Uint8Array,
): Promise<DatasetVersion> {
  return store.putDataset({
    ...images,
    format: 1,
    type: 'images',
    pixels: await putBytes(store, pixels),
    labels: await putBytes(store, labels),
  });
}
