/** How much of a large project is in memory at once while it is saved and opened: counted, not timed. */
import { afterEach, expect, test } from 'vitest';
import type { DatasetManifest } from '../../../../src/protocol/entities';
import { PART_BYTES } from '../../../../src/storage/chunks';
import type { StoreMiddleware } from '../../../../src/storage/schema';
import { rounds } from '../../../support/rounds';
import { freshStores, projectDraft } from '../fixtures';

const stores = freshStores();
const MB = 2 ** 20;
const CHUNKS = 3;
/** 300 MB in `npm run faults`; what is held does not depend on it. */
const CHUNK_BYTES = rounds(32, 100) * MB;
const NAME = 'large.terrarium';

afterEach(async () => {
  const root = await navigator.storage.getDirectory();
  await root.removeEntry(NAME).catch(() => undefined);
});

/** Bytes between where they are read and where they are written. */
class Flight {
  held = 0;
  peak = 0;
  largest = 0;
  total = 0;

  take(bytes: number): void {
    this.held += bytes;
    this.total += bytes;
    this.peak = Math.max(this.peak, this.held);
    this.largest = Math.max(this.largest, bytes);
  }

  hand(bytes: number): void {
    this.held = Math.max(0, this.held - bytes);
    this.largest = Math.max(this.largest, bytes);
  }
}

function counting(onRead: (bytes: number) => void, onWrite: (bytes: number) => void) {
  const middleware: StoreMiddleware = {
    stack: 'dbcore',
    name: 'counting',
    create: (down) => ({
      ...down,
      table(name) {
        const table = down.table(name);
        if (name !== 'chunks') return table;
        return {
          ...table,
          async get(request) {
            const row = (await table.get(request)) as { bytes: ArrayBuffer } | undefined;
            if (row) onRead(row.bytes.byteLength);
            return row;
          },
          mutate(request) {
            if (request.type === 'put' || request.type === 'add') {
              for (const { bytes } of request.values as readonly { bytes: ArrayBuffer }[]) {
                onWrite(bytes.byteLength);
              }
            }
            return table.mutate(request);
          },
        };
      },
    }),
  };
  return middleware;
}

test('three chunks of a hundred megabytes are saved and opened with one part of 8 MB in memory', async () => {
  const out = new Flight();
  const reading = { armed: false };
  const store = await stores.opened({
    middleware: counting(
      (bytes) => reading.armed && out.take(bytes),
      () => undefined,
    ),
  });
  const refs = [];
  for (let chunk = 0; chunk < CHUNKS; chunk++) {
    const bytes = new Uint8Array(CHUNK_BYTES);
    for (let at = 0; at < bytes.length; at += MB) bytes[at] = 1 + chunk + (at / MB) * CHUNKS;
    refs.push(await store.putChunk(bytes.buffer));
  }
  const [label] = refs;
  if (!label) throw new Error('There is no chunk.');
  const manifest: DatasetManifest = {
    ...{ format: 1, type: 'images', name: 'large', rows: 3, channels: 1, height: 1, width: 1 },
    classes: ['a'],
    pixels: refs,
    labels: [],
    source: { kind: 'folder', name: 'large' },
  };
  const { id: datasetId } = await store.putDataset(manifest);
  const { id } = await store.createProject(projectDraft(datasetId));

  const root = await navigator.storage.getDirectory();
  const handle = await root.getFileHandle(NAME, { create: true });
  const createWritable = handle.createWritable.bind(handle);
  handle.createWritable = async () => {
    const stream = await createWritable();
    const write = stream.write.bind(stream);
    stream.write = async (data) => {
      await write(data);
      out.hand((data as Uint8Array).length);
    };
    return stream;
  };
  reading.armed = true;
  const request = { projects: [id], withData: true, withTrash: false };
  const exported = await store.exportArchive('save', request, handle, () => undefined);
  reading.armed = false;
  expect(exported.file).toBeNull();
  expect(out.total).toBe(CHUNKS * CHUNK_BYTES);
  expect(out.largest).toBe(PART_BYTES);
  // Headers and the list go the same way; they are less than a part.
  expect(out.peak).toBeLessThan(1.01 * PART_BYTES);

  const saved = await handle.getFile();
  expect(saved.size).toBe(exported.bytes);
  const into = new Flight();
  let waiting = 0;
  let together = 0;
  const slice = saved.slice.bind(saved);
  saved.slice = (from, to) => {
    const piece = slice(from, to);
    into.largest = Math.max(into.largest, piece.size);
    const arrayBuffer = piece.arrayBuffer.bind(piece);
    piece.arrayBuffer = async () => {
      together = Math.max(together, ++waiting);
      const bytes = await arrayBuffer();
      waiting--;
      return bytes;
    };
    return piece;
  };
  const written: number[] = [];
  const other = await stores.opened({
    middleware: counting(
      () => undefined,
      (bytes) => written.push(bytes),
    ),
  });
  const { projects } = await other.importArchive('open', saved, null, () => undefined);
  expect(projects.map((project) => project.id)).toEqual([id]);
  expect(together).toBe(1);
  expect(into.largest).toBeLessThan(1.01 * PART_BYTES);
  expect(Math.max(...written)).toBe(PART_BYTES);
  expect(written.reduce((sum, bytes) => sum + bytes, 0)).toBe(CHUNKS * CHUNK_BYTES);
  expect(await other.getDataset(datasetId)).toEqual(await store.getDataset(datasetId));
}, 180_000);
