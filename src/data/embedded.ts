/** The sample datasets that ship with the studio (static/data): a JSON header and one file each. */
import { AppError } from '../core/errors';
import { sha256Hex } from '../core/hash';
import { putBytes } from './dataset';
import type { ImportResult, OnProgress } from '../protocol/api';
import type { ChunkRef, ImagesManifest } from '../protocol/entities';
import type { DataStore } from './dataset';
import type { PictureParser } from './pictures/decode';

interface TableHeader {
  readonly format: 1;
  readonly type: 'table';
  readonly name: string;
  readonly file: string;
  readonly rows: number;
  readonly licence: string;
  readonly origin: string;
}

type ImagesHeader = Omit<TableHeader, 'type'> &
  Pick<ImagesManifest, 'type' | 'channels' | 'height' | 'width' | 'classes'>;

/** Pictures of several groups, a sheet of tiles each, in the same order of labels. */
interface SheetsHeader extends Pick<
  ImagesManifest,
  'name' | 'channels' | 'height' | 'width' | 'classes'
> {
  readonly format: 1;
  readonly columns: number;
  readonly labels: readonly number[];
  readonly sheets: readonly {
    readonly group: string;
    readonly file: string;
    readonly sha256: string;
    readonly licence: string;
    readonly origin: string;
  }[];
}

export type EmbeddedHeader = TableHeader | ImagesHeader | SheetsHeader;

/** Reads a file below `static/data/`; the worker entry fetches it, tests read the disk. */
export type ReadStatic = (path: string) => Promise<Blob>;

export async function readHeader(read: ReadStatic, name: string): Promise<EmbeddedHeader> {
  return JSON.parse(await (await read(`${name}.json`)).text()) as EmbeddedHeader;
}

/** uint8 pixels [rows, C, H, W], then uint8 labels [rows]; gzip where it begins with gzip's mark. */
export async function readPictures(
  read: ReadStatic,
  header: ImagesHeader,
): Promise<{ readonly pixels: Uint8Array; readonly labels: Uint8Array }> {
  const file = await read(header.file);
  const mark = new Uint8Array(await file.slice(0, 2).arrayBuffer());
  // A server may have unpacked it on the way.
  const packed = mark[0] === 0x1f && mark[1] === 0x8b;
  const stream = packed
    ? file.stream().pipeThrough(new DecompressionStream('gzip'))
    : file.stream();
  const bytes = new Uint8Array(await new Response(stream).arrayBuffer());
  const pixels = header.rows * header.channels * header.height * header.width;
  if (bytes.length !== pixels + header.rows) {
    throw new AppError(
      'data/sample-damaged',
      `The sample "${header.name}" is damaged (${bytes.length} bytes instead of ${pixels + header.rows}). Reload the page.`,
    );
  }
  return { pixels: bytes.subarray(0, pixels), labels: bytes.subarray(pixels) };
}

/** Rows are the first sheet's tiles, then the second's: one group after the other. */
export async function importSheets(
  store: DataStore,
  read: ReadStatic,
  parser: PictureParser,
  header: SheetsHeader,
  onProgress: OnProgress,
): Promise<ImportResult> {
  const { labels, sheets, channels, height, width, classes, columns, name } = header;
  const tiles = labels.length;
  const chunks: ChunkRef[] = [];
  for (const [index, { file, sha256, group }] of sheets.entries()) {
    onProgress({ label: `Reading ${group}`, done: index, total: sheets.length, unit: 'items' });
    const sheet = await read(file);
    if ((await sha256Hex(await sheet.arrayBuffer())) !== sha256) {
      throw new AppError(
        'data/sample-damaged',
        `The sample "${name}" is damaged: ${file} is not what it should be. Reload the page.`,
        { file },
      );
    }
    chunks.push(...(await putBytes(store, await parser.cutSheet(sheet, width, columns, tiles))));
  }
  const rows = tiles * sheets.length;
  const every = Uint8Array.from({ length: rows }, (_, row) => labels[row % tiles] ?? 0);
  const groups = Uint8Array.from({ length: rows }, (_, row) => Math.floor(row / tiles));
  const dataset = await store.putDataset({
    format: 1,
    type: 'images',
    name,
    rows,
    channels,
    height,
    width,
    classes,
    pixels: chunks,
    labels: await putBytes(store, every),
    groups: {
      names: sheets.map(({ group }) => group),
      chunks: await putBytes(store, groups),
    },
    fit: 'crop',
    source: {
      kind: 'embedded',
      name: 'emoji',
      licence: sheets.map(({ group, licence }) => `${group}: ${licence}`).join(', '),
      origin: sheets.map(({ origin }) => origin).join('; '),
    },
  });
  return {
    dataset,
    findings: [],
    understood: [`${rows} pictures of ${height} × ${width}`, `${sheets.length} groups`],
  };
}
