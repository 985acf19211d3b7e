/** The bytes around entries, against other programs' readers: checksums of zlib, archives of more than 65,535 entries. */
import { Uint8ArrayReader, ZipReader } from '@zip.js/zip.js/lib/zip-core-native.js';
import { deflateRawSync, gzipSync } from 'node:zlib';
import { describe, expect, test } from 'vitest';
import { crc32 } from '../../../src/core/crc32';
import { sha256Hex } from '../../../src/core/hash';
import { blobSource } from '../../../src/storage/backup/zip-read';
import { openContainer, writeContainer } from '../../../src/storage/backup/container';
import type { Outgoing } from '../../../src/storage/backup/container';
import {
  FIRST_DATE,
  centralHeader,
  ending,
  localHeader,
  readCentral,
  readEnding,
} from '../../../src/storage/backup/zip-layout';

const GB = 2 ** 30;

test.each([0, 1, 3, 4, 5, 1000, 65_537])('the checksum of %d bytes is that of zlib', (length) => {
  const bytes = Uint8Array.from({ length }, (_, at) => at * 167 + (at >> 8));
  // A gzip stream ends with CRC-32 and length (RFC 1952).
  const zipped = gzipSync(bytes);
  expect(deflateRawSync(bytes).length).toBeLessThan(zipped.length);
  expect(crc32(bytes)).toBe(zipped.readUInt32LE(zipped.length - 8));
});

describe('headers', () => {
  const entry = { name: 'records.json', bytes: 7, crc: 0xdeadbeef, date: FIRST_DATE, offset: 99 };

  test.each([99, 4 * GB - 2, 4 * GB - 1, 4 * GB, 70 * GB])(
    'are read again with offset %d',
    (offset) => {
      const header = centralHeader({ ...entry, offset });
      expect(readCentral(header, 0)).toEqual({
        entry: { ...entry, offset },
        flags: 0,
        method: 0,
        length: header.length,
      });
      expect(readCentral(header.slice(0, -1), 0)).toBeNull();
      expect(localHeader(entry)).toHaveLength(30 + entry.name.length);
    },
  );

  test.each([
    [3, 1000],
    [65_534, 1000],
    [65_535, 1000],
    [3, 5 * GB],
  ])('end with %d entries in %d bytes', (entries, directoryAt) => {
    const end = { entries, directoryAt, directoryBytes: entries * 60 };
    const tail = ending(end.entries, end.directoryAt, end.directoryBytes);
    expect(readEnding(tail)).toEqual(end);
    expect(tail).toHaveLength(entries < 65_535 && directoryAt < GB ? 22 : 98);
  });
});

test('an archive of 70,000 entries is read by somebody else’s reader, and by ours', async () => {
  const outgoing: Outgoing[] = [];
  for (let entry = 0; entry < 70_000; entry++) {
    const bytes = new TextEncoder().encode(String(entry));
    const sha256 = await sha256Hex(bytes);
    const read = () => Promise.resolve(bytes);
    outgoing.push({ name: `chunks/${sha256}`, sha256, bytes: bytes.length, read });
  }
  const pieces: Uint8Array<ArrayBuffer>[] = [];
  const sink = {
    write: (bytes: Uint8Array<ArrayBuffer>) => Promise.resolve(void pieces.push(bytes)),
  };
  const manifest = { format: 2, kind: 'terrarium-archive', contents: [], leftOut: [] } as const;
  await writeContainer(sink, manifest, outgoing);
  const file = new Blob(pieces);
  const zip = new ZipReader(new Uint8ArrayReader(new Uint8Array(await file.arrayBuffer())), {
    strictness: 'strict',
  });
  const names = (await zip.getEntries()).map(({ filename }) => filename);
  expect(names).toEqual(['manifest.json', ...outgoing.map(({ name }) => name)]);
  const opened = await openContainer(blobSource(file));
  expect(opened.entries.size).toBe(70_000);
  const last = outgoing.at(-1)?.name ?? '';
  expect(new TextDecoder().decode(await opened.read(last))).toBe('69999');
});
