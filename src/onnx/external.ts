/**
 * Weights that stand in files beside the model (TensorProto.external_data). The files are those that the person
 * picked; a model names them by a path relative to itself, which may not lead anywhere else.
 */
import { AppError } from '../core/errors';
import { sentence } from './words';

export type ExternalFiles = ReadonlyMap<string, Uint8Array>;

export interface ExternalPlace {
  readonly location: string;
  readonly offset: number;
  /** Absent: to the end of what the shape needs. */
  readonly length: number | undefined;
}

function refused(what: string, tensor: string, file: string, why: string, more = {}): AppError {
  return new AppError('onnx/external-data', `${sentence(what)} ${why}`, { tensor, file, ...more });
}

/** `./a\b` -> `a/b`; undefined for paths that leave the folder. */
export function normalPath(path: string): string | undefined {
  const parts = path
    .replaceAll('\\', '/')
    .split('/')
    .filter((part) => part !== '.');
  const leaves = parts.some((part) => part === '..' || part === '' || /[\0:]/.test(part));
  return parts.length === 0 || leaves ? undefined : parts.join('/');
}

/** Where a tensor's numbers are, from the entries of `external_data`. */
export function externalPlace(
  entries: ReadonlyMap<string, string>,
  what: string,
  tensor: string,
): ExternalPlace {
  const given = entries.get('location') ?? '';
  const location = normalPath(given);
  if (location === undefined) {
    throw refused(
      what,
      tensor,
      given,
      `names the file "${given}", which is not a path beside the model. Export the model again.`,
    );
  }
  const number = (key: string): number | undefined => {
    const text = entries.get(key);
    if (text === undefined || text === '') return undefined;
    const value = /^\d{1,16}$/.test(text) ? Number(text) : NaN;
    if (Number.isSafeInteger(value)) return value;
    throw refused(
      what,
      tensor,
      location,
      `gives "${text}" as ${key} in "${location}", which is no number of bytes.`,
    );
  };
  return { location, offset: number('offset') ?? 0, length: number('length') };
}

/** The file a model calls `location`: by its path, or the only one whose path ends so. */
function findFile(files: ExternalFiles, location: string): Uint8Array | undefined {
  const endings: Uint8Array[] = [];
  for (const [path, bytes] of files) {
    const normal = normalPath(path);
    if (normal === location) return bytes;
    if (normal?.endsWith(`/${location}`)) endings.push(bytes);
  }
  return endings.length === 1 ? endings[0] : undefined;
}

/** A view on the `expected` bytes of a tensor in one of the files. */
export function externalBytes(
  files: ExternalFiles,
  place: ExternalPlace,
  expected: number,
  what: string,
  tensor: string,
): Uint8Array {
  const { location, offset, length } = place;
  const file = findFile(files, location);
  if (!file) {
    throw refused(
      what,
      tensor,
      location,
      `keeps its numbers in the file "${location}", which did not come along. Choose it together with the model.`,
      { expected: location, found: [...files.keys()] },
    );
  }
  if (length !== undefined && length !== expected) {
    throw refused(
      what,
      tensor,
      location,
      `needs ${expected} bytes, but the model says that it has ${length} in "${location}".`,
      { expected, found: length },
    );
  }
  if (offset + expected > file.length) {
    throw refused(
      what,
      tensor,
      location,
      `should be at bytes ${offset} to ${offset + expected} of "${location}", which has only ${file.length}. The file is cut off or belongs to another model.`,
      { expected: offset + expected, found: file.length },
    );
  }
  return file.subarray(offset, offset + expected);
}
