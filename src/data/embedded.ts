/** The sample datasets that ship with the studio (static/data): a JSON header and one file each. */
import { AppError } from '../core/errors';
import type { ImagesManifest } from '../protocol/entities';

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

export type EmbeddedHeader = TableHeader | ImagesHeader;

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
