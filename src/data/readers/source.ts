/**
 * From bytes to text: refuses what is plainly not text, finds the encoding, and streams decoded pieces. A file
 * without a byte-order mark is taken for UTF-8 until a byte disproves it; the caller then starts over with
 * windows-1252, which accepts anything.
 */
import { AppError } from '../../core/errors';
import { READ_LIMITS } from './limits';
import type { ReadLimits } from './limits';

export type Encoding = 'utf-8' | 'utf-16le' | 'utf-16be' | 'windows-1252';

const PIECE = 1 << 20;
/** Bytes looked at before anything is parsed; also the sample the dialect is guessed from. */
export const SAMPLE_BYTES = 1 << 18;

/** Thrown inside, never shown: the text is not UTF-8. */
export class NotUtf8 extends Error {}

const MAGIC: readonly (readonly [readonly number[], string])[] = [
  [[0x50, 0x4b, 0x03, 0x04], 'a spreadsheet or zip file; open it and save it as CSV'],
  [[0xd0, 0xcf, 0x11, 0xe0], 'an old spreadsheet file; open it and save it as CSV'],
  [[0x50, 0x41, 0x52, 0x31], 'a Parquet file; export it as CSV'],
  [[0x1f, 0x8b], 'a gzip file; unpack it first'],
  [[0x25, 0x50, 0x44, 0x46], 'a PDF; copy the table into a spreadsheet and save it as CSV'],
  [[0x89, 0x50, 0x4e, 0x47], 'a picture; choose a table saved as CSV'],
  [[0xff, 0xd8, 0xff], 'a picture; choose a table saved as CSV'],
  [[0x53, 0x51, 0x4c, 0x69, 0x74, 0x65], 'a database file; export the table as CSV'],
  [[0x80, 0x02], 'a Python pickle, a program that runs when it is opened; save the table as CSV'],
  [[0x80, 0x03], 'a Python pickle, a program that runs when it is opened; save the table as CSV'],
  [[0x80, 0x04], 'a Python pickle, a program that runs when it is opened; save the table as CSV'],
  [[0x80, 0x05], 'a Python pickle, a program that runs when it is opened; save the table as CSV'],
  [[0x89, 0x48, 0x44, 0x46], 'an HDF5 file; export the table as CSV'],
  [[0x93, 0x4e, 0x55, 0x4d, 0x50, 0x59], 'a NumPy array; save it as CSV'],
  [[0x41, 0x52, 0x52, 0x4f, 0x57, 0x31], 'an Arrow file; export it as CSV'],
  [[0x46, 0x45, 0x41, 0x31], 'a Feather file; export it as CSV'],
  [[0x4f, 0x62, 0x6a, 0x01], 'an Avro file; export it as CSV'],
  [[0x52, 0x44, 0x58], 'an R data file; write the table with write.csv'],
  [[0x42, 0x5a, 0x68], 'a bzip2 file; unpack it first'],
  [[0xfd, 0x37, 0x7a, 0x58, 0x5a], 'an xz file; unpack it first'],
  [[0x28, 0xb5, 0x2f, 0xfd], 'a zstd file; unpack it first'],
  [[0x37, 0x7a, 0xbc, 0xaf], 'a 7z file; unpack it first'],
  [[0x47, 0x49, 0x46, 0x38], 'a picture; choose a table saved as CSV'],
  [[0x7f, 0x45, 0x4c, 0x46], 'a program; choose a table saved as CSV'],
];

/** Reads the start of the file and names its encoding, or throws saying what the file is instead. */
export async function inspectSource(
  file: Blob,
  limits: ReadLimits = READ_LIMITS,
): Promise<{ readonly encoding: Encoding; readonly bom: boolean }> {
  if (file.size === 0) {
    throw new AppError('data/empty', 'The file is empty. Choose a file with a header and rows.');
  }
  if (file.size > limits.bytes) {
    throw new AppError(
      'data/too-large',
      `The file has ${Math.round(file.size / 1e6)} MB; at most ${Math.round(limits.bytes / 1e6)} MB can be read. Take a sample of its rows.`,
      { bytes: file.size, limit: limits.bytes },
    );
  }
  const head = new Uint8Array(await readSlice(file, 0, 4096));
  for (const [magic, what] of MAGIC) {
    if (magic.every((byte, index) => head[index] === byte)) {
      throw new AppError('data/not-text', `This is ${what}.`, { what });
    }
  }
  if (head[0] === 0xff && head[1] === 0xfe) return { encoding: 'utf-16le', bom: true };
  if (head[0] === 0xfe && head[1] === 0xff) return { encoding: 'utf-16be', bom: true };
  const bom = head[0] === 0xef && head[1] === 0xbb && head[2] === 0xbf;
  const zero = head.indexOf(0);
  if (zero >= 0) {
    throw binary(zero);
  }
  refuseMarkup(new TextDecoder('windows-1252').decode(head).replace(/^\u00ef\u00bb\u00bf/, ''));
  return { encoding: 'utf-8', bom };
}

function binary(byte: number): AppError {
  return new AppError(
    'data/not-text',
    `This is a binary file (there is a zero byte at or after byte ${byte + 1}), not a text table. Export the table as CSV, encoded as UTF-8.`,
    { byte },
  );
}

function refuseMarkup(text: string): void {
  const start = text.trimStart().slice(0, 200).toLowerCase();
  if (start.startsWith('<!doctype html') || start.startsWith('<html')) {
    throw new AppError(
      'data/html',
      'This is a web page, not a table; perhaps a sign-in page was downloaded in its place. Download the CSV file itself.',
    );
  }
  if (start.startsWith('<?xml')) {
    throw new AppError('data/xml', 'This is an XML file. Export the table as CSV.');
  }
  if (/^(?:\s*%[^\n]*\n)*\s*@relation\b/i.test(text)) {
    throw new AppError('data/arff', 'This is an ARFF file (Weka). Save it as CSV.');
  }
  if (/^[[{]\s*["[{]/.test(start)) {
    throw new AppError('data/json', 'This is a JSON file. Export the table as CSV.');
  }
}

/** Decoded text piece by piece, without the byte-order mark. Throws NotUtf8 where UTF-8 is disproved. */
export async function* decodedPieces(
  file: Blob,
  encoding: Encoding,
  onBytes: (done: number) => void = () => undefined,
): AsyncGenerator<string, void, void> {
  const decoder = new TextDecoder(encoding, { fatal: encoding === 'utf-8' });
  for (let start = 0; start < file.size; start += PIECE) {
    const end = Math.min(start + PIECE, file.size);
    const bytes = await readSlice(file, start, end);
    const text = decode(decoder, bytes, end < file.size);
    if (text.includes('\0')) throw binary(start);
    yield text;
    onBytes(end);
  }
}

/** The first characters of the file; a character cut in half at the end is dropped. */
export async function sampleText(file: Blob, encoding: Encoding): Promise<string> {
  const bytes = await readSlice(file, 0, Math.min(SAMPLE_BYTES, file.size));
  return decode(new TextDecoder(encoding, { fatal: encoding === 'utf-8' }), bytes, true);
}

function decode(decoder: TextDecoder, bytes: ArrayBuffer, stream: boolean): string {
  try {
    return decoder.decode(bytes, { stream });
  } catch (error) {
    if (error instanceof TypeError) throw new NotUtf8('not UTF-8', { cause: error });
    throw error;
  }
}

async function readSlice(file: Blob, start: number, end: number): Promise<ArrayBuffer> {
  try {
    return await file.slice(start, end).arrayBuffer();
  } catch (error) {
    throw new AppError(
      'data/unreadable',
      'The file cannot be read; it was moved, changed or locked since it was chosen. Choose it again.',
      {},
      error,
    );
  }
}
