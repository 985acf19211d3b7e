/** A zip read at random places: its list first, then entry by entry. What it may hold is the container's business. */
import { AppError } from '../../core/errors';
import { crc32 } from '../../core/crc32';
import { damaged, notAProject, refused } from './refusals';
import {
  CENTRAL_BYTES,
  END64_BYTES,
  END_BYTES,
  LOCAL,
  LOCAL_BYTES,
  centralHeader,
  ending,
  localHeader,
  readCentral,
  readEnding,
  sameBytes,
} from './zip-layout';
import type { CentralHeader, ZipEntry } from './zip-layout';

/** A file of which parts can be read. */
export interface Source {
  readonly size: number;
  read(from: number, to: number): Promise<Uint8Array<ArrayBuffer>>;
}

export function blobSource(blob: Blob): Source {
  return {
    size: blob.size,
    async read(from, to) {
      try {
        return new Uint8Array(await blob.slice(from, to).arrayBuffer());
      } catch (error) {
        throw new AppError(
          'project-file/unreadable',
          'The project file cannot be read any more: it was changed, moved or taken away. Nothing was imported; choose it again.',
          {},
          error,
        );
      }
    },
  };
}

const MOST_ENTRIES = 200_000;
/** Names are at most as long as `projects/` with a hash; zip64 adds twelve bytes. */
const LONGEST_HEADER = CENTRAL_BYTES + 100;
/** Method 0 of the zip standard (APPNOTE 4.4.5): stored. */
const STORED = 0;

/** The list, of which every byte was looked at; `allowed` says which names belong into such a file. */
export async function listEntries(
  source: Source,
  allowed: RegExp,
): Promise<ReadonlyMap<string, ZipEntry>> {
  const start = await source.read(0, 4);
  if (start[0] !== 0x50 || start[1] !== 0x4b) throw notAProject();
  const tail = await source.read(Math.max(0, source.size - END_BYTES - END64_BYTES), source.size);
  const end = readEnding(tail);
  if (!end) throw damaged('its end is missing: it was cut off, or something was added to it');
  const { entries, directoryAt, directoryBytes } = end;
  if (entries > MOST_ENTRIES) throw damaged(`it says that it has ${entries} entries`);
  if (directoryBytes > entries * LONGEST_HEADER) throw damaged('its list is too long');
  const last = ending(entries, directoryAt, directoryBytes);
  if (
    directoryAt + directoryBytes + last.length !== source.size ||
    !sameBytes(last, tail.subarray(tail.length - last.length))
  ) {
    throw damaged('its end does not fit its length');
  }
  return walk(await source.read(directoryAt, directoryAt + directoryBytes), end, allowed);
}

function walk(
  directory: Uint8Array<ArrayBuffer>,
  end: { readonly entries: number; readonly directoryAt: number },
  allowed: RegExp,
): ReadonlyMap<string, ZipEntry> {
  const named = new Map<string, ZipEntry>();
  let at = 0;
  let next = 0;
  while (named.size < end.entries) {
    const header = readCentral(directory, at);
    if (!header) throw damaged('its list is cut off');
    const { entry } = header;
    assertPlain(header, allowed);
    if (named.has(entry.name)) throw refused(entry.name, 'appears twice');
    if (!sameBytes(centralHeader(entry), directory.subarray(at, at + header.length))) {
      throw refused(entry.name, 'is listed as no Terrarium would');
    }
    // Back to back from the first byte on: nothing overlaps, and nothing lies between.
    if (entry.offset !== next) throw refused(entry.name, 'does not lie where it should');
    next += LOCAL_BYTES + entry.name.length + entry.bytes;
    named.set(entry.name, entry);
    at += header.length;
  }
  if (at !== directory.length || next !== end.directoryAt) {
    throw damaged('its list does not fit its entries');
  }
  return named;
}

/** Only names that we write, and nothing to unpack. */
function assertPlain({ entry, flags, method }: CentralHeader, allowed: RegExp): void {
  if (!allowed.test(entry.name)) throw refused(entry.name, 'does not belong in a project file');
  if (flags & 1) throw refused(entry.name, 'is encrypted');
  if (method !== STORED) throw refused(entry.name, 'is compressed, which project files never are');
}

/** An entry's bytes. The caller has looked at how many they are. */
export async function readEntry(source: Source, entry: ZipEntry): Promise<Uint8Array<ArrayBuffer>> {
  const header = localHeader(entry);
  const from = entry.offset;
  const all = await source.read(from, from + header.length + entry.bytes);
  if (all.length !== header.length + entry.bytes) throw damaged(`${entry.name} is cut off`);
  const found = new DataView(all.buffer).getUint32(0, true) === LOCAL;
  if (!found || !sameBytes(header, all.subarray(0, header.length))) {
    throw damaged(`${entry.name} does not begin as it is listed`);
  }
  const bytes = all.subarray(header.length);
  if (crc32(bytes) !== entry.crc) throw damaged(`${entry.name} does not match its checksum`);
  return bytes;
}
