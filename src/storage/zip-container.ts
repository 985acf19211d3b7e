/**
 * The outside of a `.terrarium` file: a zip whose entries are stored, not compressed, and listed with length
 * and hash in `manifest.json`. Stored entries cannot be larger than the file, so no bomb can hide in one;
 * everything that another tool might read differently is refused. What the entries mean is not known here.
 */
import {
  Uint8ArrayReader,
  Uint8ArrayWriter,
  ZipReader,
  ZipWriter,
  configure,
} from '@zip.js/zip.js/lib/zip-core-native.js';
import type { Entry, FileEntry } from '@zip.js/zip.js/lib/zip-core-native.js';
import * as v from 'valibot';
import { AppError } from '../core/errors';
import { sha256Hex } from '../core/hash';
import { count, hash } from './record-parts';

// Its workers come from blob: addresses, which the content policy forbids; we are in a worker already.
configure({ useWebWorkers: false });

export const FILE_FORMAT = 1;
const KIND = 'terrarium-project';
const MANIFEST = 'manifest.json';
const LARGEST_MANIFEST = 64 * 2 ** 20;
const MOST_ENTRIES = 200_000;
/** Method 0 of the zip standard (APPNOTE 4.4.5): stored. */
const STORED = 0;

export interface Container {
  /** What is in the file, in words for people. */
  readonly contents: readonly string[];
  /** By name, hashes checked, without the manifest itself. */
  readonly entries: ReadonlyMap<string, Uint8Array<ArrayBuffer>>;
}

const manifestSchema = v.strictObject({
  format: v.literal(FILE_FORMAT),
  kind: v.literal(KIND),
  contents: v.array(v.string()),
  entries: v.array(v.strictObject({ name: v.string(), sha256: hash, bytes: count })),
});

export async function writeContainer(container: Container): Promise<ArrayBuffer> {
  const zip = new ZipWriter(new Uint8ArrayWriter(), {
    level: 0,
    dataDescriptor: false,
    extendedTimestamp: false,
  });
  const listed = [];
  for (const [name, bytes] of container.entries) {
    listed.push({ name, sha256: await sha256Hex(bytes), bytes: bytes.byteLength });
  }
  const { contents } = container;
  const manifest = { format: FILE_FORMAT, kind: KIND, contents, entries: listed };
  const json = new TextEncoder().encode(JSON.stringify(manifest, null, 1));
  await zip.add(MANIFEST, new Uint8ArrayReader(json));
  for (const [name, bytes] of container.entries) await zip.add(name, new Uint8ArrayReader(bytes));
  const file = await zip.close();
  return file.byteLength === file.buffer.byteLength ? file.buffer : file.slice().buffer;
}

/** Everything in the file, checked against its manifest before anything is returned. */
export async function readContainer(file: ArrayBuffer): Promise<Container> {
  const zipped = await listEntries(new Uint8Array(file));
  const manifestEntry = zipped.get(MANIFEST);
  if (!manifestEntry) throw notAProject();
  if (manifestEntry.uncompressedSize > LARGEST_MANIFEST) throw refused(MANIFEST, 'is too large');
  const manifest = parseManifest(await readEntry(manifestEntry));

  const listed = new Set(manifest.entries.map((entry) => entry.name));
  const surplus = [...zipped.keys()].find((name) => name !== MANIFEST && !listed.has(name));
  if (surplus !== undefined) throw refused(surplus, 'is not in the file’s list');
  if (listed.size !== manifest.entries.length) throw refused(MANIFEST, 'lists a name twice');

  const entries = new Map<string, Uint8Array<ArrayBuffer>>();
  for (const { name, sha256, bytes } of manifest.entries) {
    const entry = zipped.get(name);
    if (!entry || name === MANIFEST) throw damaged(`${name} is missing`);
    if (name.startsWith('chunks/') && name !== `chunks/${sha256}`) {
      throw damaged(`${name} is not named by its hash`);
    }
    if (entry.uncompressedSize !== bytes) throw damaged(`${name} has the wrong length`);
    const content = await readEntry(entry);
    if ((await sha256Hex(content)) !== sha256) throw damaged(`${name} does not match its hash`);
    entries.set(name, content);
  }
  return { contents: manifest.contents, entries };
}

async function listEntries(file: Uint8Array<ArrayBuffer>): Promise<Map<string, FileEntry>> {
  // "PK", which every zip begins with.
  if (file[0] !== 0x50 || file[1] !== 0x4b) throw notAProject();
  const zip = new ZipReader(new Uint8ArrayReader(file), {
    strictness: 'strict',
    // `plainFile` is stricter, and names the entry that it refuses.
    filenameValidation: 'tolerant',
  });
  const named = new Map<string, FileEntry>();
  let total = 0;
  try {
    for await (const entry of zip.getEntriesGenerator()) {
      const name = entry.filename;
      if (named.has(name)) throw refused(name, 'appears twice');
      if (named.size >= MOST_ENTRIES) throw refused(name, 'is one entry too many');
      named.set(name, plainFile(entry));
      total += entry.uncompressedSize;
      // Overlapping entries claim the same bytes twice.
      if (total > file.byteLength) throw refused(name, 'claims more bytes than the file has');
    }
  } catch (error) {
    throw asDamage(error, 'its table of contents cannot be read');
  }
  return named;
}

/** Only names that we write: nothing that could leave a folder, and nothing to unpack. */
function plainFile(entry: Entry): FileEntry {
  const { filename, compressionMethod, compressedSize, uncompressedSize } = entry;
  if (!/^([a-z]+\.json|chunks\/[0-9a-f]{64})$/.test(filename) || entry.directory) {
    throw refused(filename, 'does not belong in a project file');
  }
  if (entry.encrypted) throw refused(filename, 'is encrypted');
  if (compressionMethod !== STORED || compressedSize !== uncompressedSize) {
    throw refused(filename, 'is compressed, which project files never are');
  }
  return entry;
}

async function readEntry(entry: FileEntry): Promise<Uint8Array<ArrayBuffer>> {
  try {
    return await entry.getData(new Uint8ArrayWriter(), { checkSignature: true });
  } catch (error) {
    throw asDamage(error, `${entry.filename} cannot be read`);
  }
}

function parseManifest(bytes: Uint8Array): v.InferOutput<typeof manifestSchema> {
  const manifest = parseJson(bytes, MANIFEST);
  const { format, kind } = Object(manifest) as { format?: unknown; kind?: unknown };
  if (kind !== KIND) throw notAProject();
  if (typeof format === 'number' && format > FILE_FORMAT) {
    throw new AppError(
      'project-file/newer',
      `This project file was written by a newer Terrarium (format ${format}; this one reads ${FILE_FORMAT}). Reload the page to get the newer version.`,
      { format },
    );
  }
  return checked(manifestSchema, manifest, MANIFEST);
}

export function parseJson(
  bytes: Uint8Array,
  name: string,
  reviver?: (key: string, value: unknown) => unknown,
): unknown {
  try {
    return JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes), reviver);
  } catch (error) {
    throw asDamage(error, `${name} is not valid JSON`);
  }
}

/** The value itself when it fits the schema, else `project-file/invalid` with the place that does not. */
export function checked<T>(schema: v.GenericSchema<unknown, T>, value: unknown, name: string): T {
  const result = v.safeParse(schema, value, { abortEarly: true });
  if (result.success) return result.output;
  const [issue] = result.issues;
  const place = v.getDotPath(issue) ?? 'the whole';
  throw new AppError(
    'project-file/invalid',
    `The project file does not have the expected form: ${name}, ${place}: ${issue.message}. Ask for the file again, saved with the current version.`,
    { name, place },
  );
}

function notAProject(): AppError {
  return new AppError(
    'project-file/not-a-project',
    'This is not a Terrarium project file. Choose a file that ends in .terrarium.',
  );
}

export function damaged(how: string, cause?: unknown): AppError {
  return new AppError(
    'project-file/damaged',
    `The project file is damaged: ${how}. Nothing was imported; copy or download the file again.`,
    { how },
    cause,
  );
}

function refused(name: string, how: string): AppError {
  return new AppError(
    'project-file/refused',
    `The project file was refused: its entry “${name.slice(0, 100)}” ${how}. Nothing was imported.`,
    { name: name.slice(0, 1000) },
  );
}

function asDamage(error: unknown, how: string): AppError {
  return error instanceof AppError ? error : damaged(how, error);
}
