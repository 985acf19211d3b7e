/**
 * The outside of a `.terrarium` file: a zip of stored entries, `manifest.json` first, which lists every other entry
 * with its length and hash. It is written and read entry by entry, so neither takes more memory than the largest
 * entry. What the entries mean is not known here. docs/PROJECT-FILES.md describes it for other programs.
 */
import * as v from 'valibot';
import { crc32 } from '../../core/crc32';
import { sha256Hex } from '../../core/hash';
import { count, hash, text } from '../record-parts';
import { checked, damaged, newer, notAProject, parseJson, refused } from './refusals';
import { FIRST_DATE, centralHeader, ending, localHeader } from './zip-layout';
import type { ZipEntry } from './zip-layout';
import { listEntries, readEntry } from './zip-read';
import type { Source } from './zip-read';

/** What is read. A file that needs no more than the first format says that it is of the first. */
export const NEWEST_FORMAT = 2;
const MANIFEST = 'manifest.json';
const LARGEST_MANIFEST = 64 * 2 ** 20;
/** Chromium keeps no value above 127 MB, so no chunk is larger; records are JSON, which has to fit into memory. */
export const LARGEST_ENTRY = 256 * 2 ** 20;
const NAMES =
  /^(?:[a-z]+\.json|(?:projects|sealed)\/[0-9a-z-]{8,64}\.json|(?:datasets|bodies)\/[0-9a-f]{64}\.json|chunks\/[0-9a-f]{64})$/;

/** One project, or many with what they share. */
export type Kind = 'terrarium-project' | 'terrarium-archive';

/** Something that could not go along. `sha256` names the chunk, where it is one. */
export interface LeftOut {
  readonly what: string;
  readonly why: string;
  readonly sha256?: string | undefined;
}

export interface Listed {
  readonly name: string;
  readonly sha256: string;
  readonly bytes: number;
}

export interface Manifest {
  readonly format: 1 | 2;
  readonly kind: Kind;
  /** What is in the file, in words for people. */
  readonly contents: readonly string[];
  readonly leftOut: readonly LeftOut[];
  readonly entries: readonly Listed[];
}

const entries = v.array(v.strictObject({ name: v.string(), sha256: hash, bytes: count }));
const contents = v.array(v.string());
const schema = v.variant('format', [
  v.strictObject({
    format: v.literal(1),
    kind: v.literal('terrarium-project'),
    contents,
    entries,
  }),
  v.strictObject({
    format: v.literal(2),
    kind: v.picklist(['terrarium-project', 'terrarium-archive']),
    contents,
    leftOut: v.array(v.strictObject({ what: text, why: text, sha256: v.optional(hash) })),
    entries,
  }),
]);

// ---- writing --------------------------------------------------------------------------------------------------

/** Where an archive goes, in order. */
export interface Sink {
  write(bytes: Uint8Array<ArrayBuffer>): Promise<void>;
}

export interface Outgoing extends Listed {
  read(): Promise<Uint8Array<ArrayBuffer>>;
}

/** Writes the whole archive and returns its length. `onWritten` is told of the bytes so far, entry by entry. */
export async function writeContainer(
  sink: Sink,
  manifest: Omit<Manifest, 'entries'>,
  outgoing: readonly Outgoing[],
  onWritten: (bytes: number) => void = () => undefined,
): Promise<number> {
  const zipped: ZipEntry[] = [];
  let offset = 0;
  const write = async (bytes: Uint8Array<ArrayBuffer>) => {
    await sink.write(bytes);
    offset += bytes.length;
  };
  const add = async (name: string, content: Uint8Array<ArrayBuffer>) => {
    const { length: bytes } = content;
    const entry = { name, bytes, crc: crc32(content), date: FIRST_DATE, offset };
    zipped.push(entry);
    await write(localHeader(entry));
    await write(content);
    onWritten(offset);
  };
  await add(MANIFEST, manifestJson(manifest, outgoing));
  for (const entry of outgoing) await add(entry.name, await entry.read());
  const directoryAt = offset;
  // In pieces of many headers, not as hundreds of thousands of small writes.
  for (let at = 0; at < zipped.length; at += 1000) {
    const headers = zipped.slice(at, at + 1000).map(centralHeader);
    await write(new Uint8Array(await new Blob(headers).arrayBuffer()));
  }
  await write(ending(zipped.length, directoryAt, offset - directoryAt));
  onWritten(offset);
  return offset;
}

function manifestJson(
  { format, kind, contents, leftOut }: Omit<Manifest, 'entries'>,
  outgoing: readonly Outgoing[],
): Uint8Array<ArrayBuffer> {
  const entries = outgoing.map(({ name, sha256, bytes }) => ({ name, sha256, bytes }));
  const manifest =
    format === 1
      ? { format, kind, contents, entries }
      : { format, kind, contents, leftOut, entries };
  return new TextEncoder().encode(JSON.stringify(manifest, null, 1));
}

// ---- reading --------------------------------------------------------------------------------------------------

export interface Opened {
  readonly manifest: Manifest;
  /** By name, without the manifest itself. */
  readonly entries: ReadonlyMap<string, Listed>;
  /** An entry's bytes, whose hash has been checked. */
  read(name: string): Promise<Uint8Array<ArrayBuffer>>;
}

/** The list of a file, checked from both sides: what is listed is there with that length, and nothing else is. */
export async function openContainer(source: Source): Promise<Opened> {
  const zipped = await listEntries(source, NAMES);
  const first = zipped.get(MANIFEST);
  if (!first) throw notAProject();
  if (first.bytes > LARGEST_MANIFEST) throw refused(MANIFEST, 'is too large');
  const manifest = parseManifest(await readEntry(source, first));
  const listed = new Map(manifest.entries.map((entry) => [entry.name, entry]));
  if (listed.size !== manifest.entries.length) throw refused(MANIFEST, 'lists a name twice');
  const surplus = [...zipped.keys()].find((name) => name !== MANIFEST && !listed.has(name));
  if (surplus !== undefined) throw refused(surplus, 'is not in the file’s list');
  for (const { name, sha256, bytes } of manifest.entries) {
    const entry = zipped.get(name);
    if (!entry || name === MANIFEST) throw damaged(`${name} is missing`);
    if (name.startsWith('chunks/') && name !== `chunks/${sha256}`) {
      throw damaged(`${name} is not named by its hash`);
    }
    if (entry.bytes !== bytes) throw damaged(`${name} has the wrong length`);
    if (bytes > LARGEST_ENTRY) throw refused(name, 'is too large');
  }
  return {
    manifest,
    entries: listed,
    async read(name) {
      const [zip, entry] = [zipped.get(name), listed.get(name)];
      if (!zip || !entry) throw damaged(`${name} is missing`);
      const bytes = await readEntry(source, zip);
      if ((await sha256Hex(bytes)) !== entry.sha256) {
        throw damaged(`${name} does not match its hash`);
      }
      return bytes;
    },
  };
}

function parseManifest(bytes: Uint8Array): Manifest {
  const manifest = parseJson(bytes, MANIFEST);
  const { format, kind } = Object(manifest) as { format?: unknown; kind?: unknown };
  if (typeof kind !== 'string' || !kind.startsWith('terrarium-')) throw notAProject();
  if (typeof format === 'number' && format > NEWEST_FORMAT) throw newer(format, NEWEST_FORMAT);
  return { leftOut: [], ...checked(schema, manifest, MANIFEST) };
}
