/** Project files made without a browser, as large as a test needs them. */
import { randomBytes } from 'node:crypto';
import { readFile, writeFile } from 'node:fs/promises';
import { sha256Hex } from '../../src/core/hash';
import type { DatasetManifest } from '../../src/protocol/entities';
import { writeContainer } from '../../src/storage/backup/container';
import type { Outgoing } from '../../src/storage/backup/container';
import { hashRecord } from '../../src/storage/record-hash';
import { blobSource } from '../../src/storage/backup/zip-read';
import { openContainer } from '../../src/storage/backup/container';

const FIXTURE = 'tests/fixtures/project-files/format-1.terrarium';

function outgoing(name: string, content: Uint8Array<ArrayBuffer>, sha256: string): Outgoing {
  return { name, sha256, bytes: content.length, read: () => Promise.resolve(content) };
}

/** The project of the fixture with `chunks` chunks of random pictures, 1 MiB each, under ids of its own. */
export async function largeProject(path: string, chunks: number): Promise<void> {
  const opened = await openContainer(blobSource(new Blob([await readFile(FIXTURE)])));
  const text = new TextDecoder().decode(await opened.read('records.json'));
  const entries: Outgoing[] = [];
  const pixels = [];
  for (let chunk = 0; chunk < chunks; chunk++) {
    const bytes = new Uint8Array(randomBytes(2 ** 20));
    const sha256 = await sha256Hex(bytes);
    pixels.push({ sha256, storageKey: sha256, bytes: bytes.length });
    entries.push(outgoing(`chunks/${sha256}`, bytes, sha256));
  }
  for (const { name, sha256 } of opened.entries.values()) {
    if (name.startsWith('chunks/')) entries.push(outgoing(name, await opened.read(name), sha256));
  }
  const manifest: DatasetManifest = {
    ...{ format: 1, type: 'images', name: 'noise', rows: chunks },
    ...{ channels: 1, height: 1024, width: 1024, classes: ['a', 'b'], pixels, labels: [] },
    source: { kind: 'folder', name: 'noise' },
  };
  const records = JSON.parse(text) as {
    project: { name: string; datasetId: string };
    datasets: unknown[];
  };
  const id = await hashRecord(manifest);
  records.datasets.push({ id, createdAt: 1000, manifest });
  records.project.name = 'Large';
  records.project.datasetId = id;
  const json = new TextEncoder().encode(JSON.stringify(records));
  entries.unshift(outgoing('records.json', json, await sha256Hex(json)));
  const pieces: Uint8Array[] = [];
  const sink = { write: (bytes: Uint8Array) => Promise.resolve(void pieces.push(bytes)) };
  const head = { format: 1, kind: 'terrarium-project', contents: [], leftOut: [] } as const;
  await writeContainer(sink, head, entries);
  await writeFile(path, Buffer.concat(pieces));
}
