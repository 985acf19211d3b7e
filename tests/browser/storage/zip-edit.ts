/** Project files taken apart and put together again, for tests of files that lie. */
import {
  BlobReader,
  Uint8ArrayReader,
  Uint8ArrayWriter,
  ZipReader,
  ZipWriter,
} from '@zip.js/zip.js/lib/zip-core-native.js';
import type { ZipWriterConstructorOptions } from '@zip.js/zip.js/lib/zip-core-native.js';
import { expect } from 'vitest';
import { sha256Hex } from '../../../src/core/hash';

/** What makes somebody else's writer set the same headers as ours. */
export const AS_OURS = { dataDescriptor: false, extendedTimestamp: false };

export type Entries = Map<string, Uint8Array<ArrayBuffer>>;

export async function unzip(file: Blob): Promise<Entries> {
  const entries: Entries = new Map();
  // Somebody else's reader, at its strictest.
  const zip = new ZipReader(new BlobReader(file), { strictness: 'strict' });
  for (const entry of await zip.getEntries()) {
    if (!entry.directory) {
      entries.set(entry.filename, await entry.getData(new Uint8ArrayWriter()));
    }
  }
  return entries;
}

export async function rezip(entries: Entries, options: ZipWriterConstructorOptions = {}) {
  const zip = new ZipWriter(new Uint8ArrayWriter(), { ...AS_OURS, level: 0, ...options });
  for (const [name, bytes] of entries) await zip.add(name, new Uint8ArrayReader(bytes));
  return new Blob([await zip.close()]);
}

export function editText(entries: Entries, name: string, edit: (text: string) => string): void {
  const text = new TextDecoder().decode(entries.get(name));
  const edited = edit(text);
  expect(edited).not.toBe(text);
  entries.set(name, new TextEncoder().encode(edited));
}

/** Makes the list fit the entries again, as somebody who means harm would. */
export async function relist(entries: Entries): Promise<void> {
  const manifest = JSON.parse(new TextDecoder().decode(entries.get('manifest.json'))) as object;
  const listed = [];
  for (const [name, bytes] of entries) {
    if (name === 'manifest.json') continue;
    listed.push({ name, sha256: await sha256Hex(bytes), bytes: bytes.byteLength });
  }
  const json = JSON.stringify({ ...manifest, entries: listed });
  entries.set('manifest.json', new TextEncoder().encode(json));
}
