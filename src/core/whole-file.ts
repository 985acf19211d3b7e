/** A person's file as one piece of memory: refused by its size before a byte of it is read. */
import { AppError } from './errors';

export async function wholeFile(file: Blob, most: number, what: string): Promise<ArrayBuffer> {
  refuseLarge(file.size, most, what);
  try {
    return await file.arrayBuffer();
  } catch (error) {
    throw unreadable(what, error);
  }
}

/** As text; bytes that are not UTF-8 become U+FFFD. */
export async function wholeText(file: Blob, most: number, what: string): Promise<string> {
  refuseLarge(file.size, most, what);
  try {
    return await file.text();
  } catch (error) {
    throw unreadable(what, error);
  }
}

export function refuseLarge(bytes: number, most: number, what: string): void {
  if (bytes <= most) return;
  const shown = (size: number): string => `${Math.ceil(size / 2 ** 20)} MB`;
  throw new AppError(
    'file/too-large',
    `${what} has ${shown(bytes)}; at most ${shown(most)} can be read.`,
    { bytes, limit: most },
  );
}

function unreadable(what: string, cause: unknown): AppError {
  return new AppError(
    'file/unreadable',
    `${what} cannot be read; it was moved, changed or locked since it was chosen. Choose it again.`,
    {},
    cause,
  );
}
