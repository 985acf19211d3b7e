/**
 * Format, width and height of a picture from its first bytes, so that nothing is decoded that would not fit in memory.
 * By content, never by name. PNG (W3C), JPEG (ITU T.81), GIF89a, BMP, WebP (RIFF container), AVIF (ISO 23008-12, ispe).
 */
import { AppError } from '../../core/errors';
import { PICTURE_LIMITS } from './limits';

export interface PictureHeader {
  readonly format: 'JPEG' | 'PNG' | 'GIF' | 'BMP' | 'WebP' | 'AVIF';
  readonly width: number;
  readonly height: number;
}

/** Enough for every header; a JPEG may carry a thumbnail and a colour profile before its size. */
export const HEADER_BYTES = 1 << 18;

/** `view` is the beginning of the file, at most HEADER_BYTES of it. Throws where it is no picture that can be used. */
export function readPictureHeader(bytes: Uint8Array): PictureHeader {
  const header = recognise(bytes);
  const { width, height, format } = header;
  if (width <= 0 || height <= 0) throw broken(`its ${format} header says ${width} × ${height}`);
  if (width * height > PICTURE_LIMITS.pixels) {
    throw new AppError(
      'data/picture-too-large',
      `It has ${width} × ${height} pixels; at most ${PICTURE_LIMITS.pixels / 1e6} million can be decoded. Make it smaller.`,
      { width, height },
    );
  }
  return header;
}

function recognise(bytes: Uint8Array): PictureHeader {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const text = (start: number, length: number): string =>
    String.fromCharCode(...bytes.subarray(start, start + length));
  if (bytes.length === 0) throw broken('the file is empty');
  try {
    if (text(0, 8) === '\x89PNG\r\n\x1a\n') {
      if (text(12, 4) !== 'IHDR') throw broken('its PNG header is damaged');
      return { format: 'PNG', width: view.getUint32(16), height: view.getUint32(20) };
    }
    if (bytes[0] === 0xff && bytes[1] === 0xd8) return jpeg(view);
    if (text(0, 6) === 'GIF87a' || text(0, 6) === 'GIF89a') return gif(view);
    if (text(0, 4) === 'RIFF' && text(8, 4) === 'WEBP') return webp(view, text(12, 4));
    if (text(4, 4) === 'ftyp' && /avi[fs]/.test(text(8, 40))) return avif(bytes, view);
    if (text(0, 2) === 'BM' && view.getUint32(14, true) <= 256) return bmp(view);
  } catch (error) {
    // Reading past the end: the header itself is cut off.
    if (error instanceof RangeError) throw broken('it ends within its header');
    throw error;
  }
  throw refusal(bytes, text);
}

/** Goes from segment to segment up to the one that holds the size (SOF). */
function jpeg(view: DataView): PictureHeader {
  let at = 2;
  for (;;) {
    if (view.getUint8(at) !== 0xff) throw broken('its JPEG segments are damaged');
    const marker = view.getUint8(at + 1);
    if (marker === 0xff) {
      at += 1;
      continue;
    }
    // SOF0 to SOF15, without DHT, JPG and DAC, which share their numbers.
    if (marker >= 0xc0 && marker <= 0xcf && ![0xc4, 0xc8, 0xcc].includes(marker)) {
      return { format: 'JPEG', height: view.getUint16(at + 5), width: view.getUint16(at + 7) };
    }
    const bare = marker === 0x01 || (marker >= 0xd0 && marker <= 0xd7);
    if (marker === 0xd9 || marker === 0xda) throw broken('it has no JPEG frame');
    at += bare ? 2 : 2 + view.getUint16(at + 2);
  }
}

/** Browsers make the picture as large as its first frame needs, whatever the header says; so both count. */
function gif(view: DataView): PictureHeader {
  const tableBytes = (flags: number): number => (flags & 0x80 ? 3 * 2 ** ((flags & 7) + 1) : 0);
  let at = 13 + tableBytes(view.getUint8(10));
  while (view.getUint8(at) === 0x21) {
    at += 2;
    for (let length = view.getUint8(at); length > 0; length = view.getUint8(at)) at += 1 + length;
    at += 1;
  }
  if (view.getUint8(at) !== 0x2c) throw broken('it has no GIF frame');
  const word = (offset: number): number => view.getUint16(offset, true);
  return {
    format: 'GIF',
    width: Math.max(word(6), word(at + 1) + word(at + 5)),
    height: Math.max(word(8), word(at + 3) + word(at + 7)),
  };
}

function webp(view: DataView, chunk: string): PictureHeader {
  const format = 'WebP';
  if (chunk === 'VP8X') {
    return { format, width: 1 + uint24(view, 24), height: 1 + uint24(view, 27) };
  }
  if (chunk === 'VP8L') {
    const bits = view.getUint32(21, true);
    return { format, width: 1 + (bits & 0x3fff), height: 1 + ((bits >>> 14) & 0x3fff) };
  }
  if (chunk !== 'VP8 ') throw broken('its WebP header is damaged');
  return {
    format,
    width: view.getUint16(26, true) & 0x3fff,
    height: view.getUint16(28, true) & 0x3fff,
  };
}

function uint24(view: DataView, at: number): number {
  return view.getUint8(at) | (view.getUint8(at + 1) << 8) | (view.getUint8(at + 2) << 16);
}

function bmp(view: DataView): PictureHeader {
  // The oldest header (12 bytes) has 16-bit sizes; a negative height means top-down rows.
  if (view.getUint32(14, true) === 12) {
    return { format: 'BMP', width: view.getUint16(18, true), height: view.getUint16(20, true) };
  }
  return {
    format: 'BMP',
    width: Math.abs(view.getInt32(18, true)),
    height: Math.abs(view.getInt32(22, true)),
  };
}

/** The largest of the sizes (`ispe` boxes): a picture may be put together of tiles. */
function avif(bytes: Uint8Array, view: DataView): PictureHeader {
  let width = 0;
  let height = 0;
  for (let at = 8; at + 16 <= bytes.length; at++) {
    if (bytes[at] !== 0x69 || view.getUint32(at) !== 0x69_73_70_65) continue;
    width = Math.max(width, view.getUint32(at + 8));
    height = Math.max(height, view.getUint32(at + 12));
  }
  if (width === 0) throw broken('its AVIF header is damaged');
  return { format: 'AVIF', width, height };
}

/** What it is instead, where that is known. */
function refusal(bytes: Uint8Array, text: (start: number, length: number) => string): AppError {
  const start = new TextDecoder().decode(bytes.subarray(0, 1024)).toLowerCase();
  const refused = (what: string, code: `data/${string}` = 'data/not-a-picture'): AppError =>
    new AppError(code, what);
  if (/<svg[\s>]/.test(start)) {
    return refused(
      'It is a drawing (SVG), which is a program rather than pixels. Export it as PNG.',
      'data/picture-svg',
    );
  }
  if (text(4, 4) === 'ftyp' && /hei[cfsx]|mif1|hevc/.test(text(8, 24))) {
    return refused('It is a HEIC picture, which browsers do not read. Export it as JPEG.');
  }
  if (text(0, 4) === 'II*\0' || text(0, 4) === 'MM\0*') {
    return refused('It is a TIFF or raw picture, which browsers do not read. Export it as PNG.');
  }
  if (text(0, 4) === '8BPS') return refused('It is a Photoshop file. Export it as PNG.');
  if (text(0, 4) === 'PK\x03\x04') return refused('It is a zip file.');
  return refused('It is not a JPEG, PNG, WebP, GIF, BMP or AVIF picture, whatever its name says.');
}

export function broken(how: string): AppError {
  return new AppError('data/picture-broken', `It cannot be decoded: ${how}.`, { how });
}
