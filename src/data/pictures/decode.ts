/**
 * From a picture file to a small square of pixels, by the browser's own decoders, in the disposable parse worker. The
 * header is read first, so that a file which claims to be enormous is never decoded. A camera's turn (EXIF) is
 * honoured; what is transparent becomes white; of a moving picture the first frame counts.
 */
import { isGrey } from '../../core/grey';
import { HEADER_BYTES, broken, readPictureHeader } from './header';
import { PICTURE_LIMITS } from './limits';
import { PictureZip, tooManyBytes } from './zip';
import type { PictureFit } from '../../protocol/entities';
import type { PictureHeader } from './header';

export interface SquareSpec {
  readonly size: number;
  readonly fit: PictureFit;
}

export interface DecodedPicture {
  /** uint8 [3, size, size]. */
  readonly pixels: Uint8Array;
  /** The three channels are equal everywhere. */
  readonly grey: boolean;
}

/** A file, or the position of an entry in the zip that was opened. */
export type PictureRef = Blob | number;

/** What the parse worker offers for pictures. */
export interface PictureParser {
  /** Paths of the files in a zip; later calls name an entry by its position. */
  openZip(file: Blob): Promise<readonly string[]>;
  measurePicture(picture: PictureRef): Promise<PictureHeader>;
  decodePicture(picture: PictureRef, spec: SquareSpec): Promise<DecodedPicture>;
  /** uint8 [count, 3, size, size] of the tiles of a sheet, row by row. */
  cutSheet(sheet: Blob, size: number, columns: number, count: number): Promise<Uint8Array>;
}

/** Pixels that are decoded at once: many small pictures, or one large. */
const PIXELS_AT_ONCE = PICTURE_LIMITS.pixels;

export function createPictureParser(): PictureParser {
  let zip: PictureZip | null = null;
  const budget = new PixelBudget();
  const fileOf = async (picture: PictureRef): Promise<Blob> => {
    const file = typeof picture === 'number' ? await zip?.read(picture) : picture;
    if (file === undefined) throw broken('its zip file is not open');
    if (file.size > PICTURE_LIMITS.fileBytes) throw tooManyBytes(file.size);
    return file;
  };
  return {
    async openZip(file) {
      zip = await PictureZip.open(file);
      return zip.names;
    },
    async measurePicture(picture) {
      return headerOf(await fileOf(picture));
    },
    async decodePicture(picture, spec) {
      const file = await fileOf(picture);
      const { width, height } = await headerOf(file);
      const pixels = width * height;
      return budget.hold(pixels, () => decode(file, pixels, spec));
    },
    async cutSheet(sheet, size, columns, count) {
      const bitmap = await bitmapOf(sheet);
      const { data } = drawn(bitmap.width, bitmap.height, (context) =>
        context.drawImage(bitmap, 0, 0),
      );
      const wide = bitmap.width;
      bitmap.close();
      const pixels = new Uint8Array(count * 3 * size * size);
      for (let tile = 0; tile < count; tile++) {
        const left = (tile % columns) * size;
        const top = Math.floor(tile / columns) * size;
        copyChannels(data, wide, left, top, size, pixels, tile * 3 * size * size);
      }
      return pixels;
    },
  };
}

async function headerOf(file: Blob): Promise<PictureHeader> {
  return readPictureHeader(new Uint8Array(await bytesOf(file.slice(0, HEADER_BYTES))));
}

async function bytesOf(file: Blob): Promise<ArrayBuffer> {
  try {
    return await file.arrayBuffer();
  } catch (error) {
    throw broken(`the file cannot be read (${error instanceof Error ? error.message : 'unknown'})`);
  }
}

async function bitmapOf(file: Blob): Promise<ImageBitmap> {
  try {
    return await createImageBitmap(file, { imageOrientation: 'from-image' });
  } catch (error) {
    const detail = error instanceof Error ? error.message.replace(/\.$/, '') : 'unknown';
    throw broken(`it is damaged or cut off (${detail})`);
  }
}

/** @param pixels what its header says: a decoder that found more was told something else */
async function decode(file: Blob, pixels: number, spec: SquareSpec): Promise<DecodedPicture> {
  const bitmap = await bitmapOf(file);
  try {
    if (bitmap.width * bitmap.height > pixels) throw broken('it is larger than its header says');
    return await square(bitmap, spec);
  } finally {
    bitmap.close();
  }
}

async function square(bitmap: ImageBitmap, { size, fit }: SquareSpec): Promise<DecodedPicture> {
  const { width, height } = bitmap;
  const side = fit === 'crop' ? Math.min(width, height) : Math.max(width, height);
  // Crop: a square out of the middle. Letterbox: the whole, as large as fits.
  const [w, h] = fit === 'crop' ? [side, side] : [width, height];
  const [outW, outH] = [w, h].map((part) => Math.max(1, Math.round((part * size) / side))) as [
    number,
    number,
  ];
  const small = await createImageBitmap(bitmap, (width - w) >> 1, (height - h) >> 1, w, h, {
    resizeWidth: outW,
    resizeHeight: outH,
    resizeQuality: 'high',
  });
  const { data } = drawn(size, size, (context) =>
    context.drawImage(small, (size - outW) >> 1, (size - outH) >> 1),
  );
  small.close();
  const pixels = new Uint8Array(3 * size * size);
  copyChannels(data, size, 0, 0, size, pixels, 0);
  return { pixels, grey: isGrey(pixels) };
}

/** What `draw` leaves on white paper. */
function drawn(
  width: number,
  height: number,
  draw: (context: OffscreenCanvasRenderingContext2D) => void,
): ImageData {
  const context = new OffscreenCanvas(width, height).getContext('2d', { willReadFrequently: true });
  if (!context) throw broken('the browser gives no canvas');
  context.fillStyle = '#fff';
  context.fillRect(0, 0, width, height);
  draw(context);
  return context.getImageData(0, 0, width, height);
}

/** A square of RGBA pixels as three planes. */
function copyChannels(
  rgba: Uint8ClampedArray,
  wide: number,
  left: number,
  top: number,
  size: number,
  out: Uint8Array,
  start: number,
): void {
  const plane = size * size;
  for (let y = 0; y < size; y++) {
    for (let x = 0; x < size; x++) {
      const from = ((top + y) * wide + left + x) * 4;
      const to = start + y * size + x;
      out[to] = rgba[from] ?? 0;
      out[to + plane] = rgba[from + 1] ?? 0;
      out[to + 2 * plane] = rgba[from + 2] ?? 0;
    }
  }
}

/** Lets work begin while the pixels in hand are few; a single large picture always may. */
class PixelBudget {
  #held = 0;
  readonly #waiting: (() => void)[] = [];

  async hold<T>(pixels: number, work: () => Promise<T>): Promise<T> {
    while (this.#held > 0 && this.#held + pixels > PIXELS_AT_ONCE) {
      await new Promise<void>((resolve) => this.#waiting.push(resolve));
    }
    this.#held += pixels;
    try {
      return await work();
    } finally {
      this.#held -= pixels;
      this.#waiting.splice(0).forEach((resolve) => resolve());
    }
  }
}
