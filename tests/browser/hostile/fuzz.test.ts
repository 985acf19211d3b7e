/**
 * Damaged pictures and zips through the disposable worker as it ships: its decoders are the browser's, its zip reader
 * inflates for real. A failure names seed and mutation; TERRARIUM_SEED=… makes the same ones again.
 */
import * as Comlink from 'comlink';
import { afterAll, describe, expect, it } from 'vitest';
import { AppError } from '../../../src/core/errors';
import type { FileParser } from '../../../src/data/api';
import { findPictures } from '../../../src/data/pictures/layout';
import { installErrorCodec } from '../../../src/protocol/errors';
import { mutation } from '../../support/fuzz/mutate';
import type { Kind } from '../../support/fuzz/mutate';
import { rounds, seed } from '../../support/rounds';

const ROUNDS = rounds(500, 10_000);
/** A file that is not answered in this time hangs, however busy the machine is. */
const SILENT_MS = 20_000;
const SPEC = { size: 32, fit: 'crop' } as const;

installErrorCodec(Comlink.transferHandlers);

const fixtures = import.meta.glob<string>('../../fixtures/pictures/**/*', {
  query: '?url',
  import: 'default',
  eager: true,
});

async function seedsIn(folder: string, most: number): Promise<Uint8Array[]> {
  const addresses = Object.entries(fixtures).filter(([path]) => path.includes(`/${folder}`));
  const files = await Promise.all(
    addresses.map(
      async ([, address]) => new Uint8Array(await (await fetch(address)).arrayBuffer()),
    ),
  );
  return files.filter(({ length }) => length <= most);
}

interface Parser {
  readonly api: Comlink.Remote<FileParser>;
  terminate(): void;
}

function spawn(): Parser {
  const worker = new Worker(new URL('../../../workers/parse.worker.ts', import.meta.url), {
    type: 'module',
  });
  return { api: Comlink.wrap<FileParser>(worker), terminate: () => worker.terminate() };
}

let parser = spawn();
afterAll(() => parser.terminate());

async function inTime<T>(work: Promise<T>): Promise<T> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const silent = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error('hangs')), SILENT_MS);
  });
  try {
    return await Promise.race([work, silent]);
  } finally {
    clearTimeout(timer);
  }
}

async function decodePicture(bytes: Uint8Array<ArrayBuffer>): Promise<void> {
  const file = new Blob([bytes]);
  const { width, height } = await parser.api.measurePicture(file);
  const { pixels } = await parser.api.decodePicture(file, SPEC);
  if (width * height > 64e6) throw new Error(`${width} x ${height} were decoded`);
  if (pixels.length !== 3 * SPEC.size ** 2) throw new Error(`${pixels.length} levels came back`);
}

async function readZip(bytes: Uint8Array<ArrayBuffer>): Promise<void> {
  const names = await parser.api.openZip(new Blob([bytes]));
  for (const { index } of findPictures(names).pictures.slice(0, 4)) {
    try {
      await parser.api.decodePicture(index, SPEC);
    } catch (error) {
      // Of one picture: it would be left out and named.
      if (!(error instanceof AppError) || !error.code.startsWith('data/')) throw error;
    }
  }
}

async function fuzz(
  seeds: readonly Uint8Array[],
  kind: Kind,
  purpose: string,
  read: (bytes: Uint8Array<ArrayBuffer>) => Promise<void>,
): Promise<Map<string, number>> {
  const outcomes = new Map<string, number>();
  const wrong: string[] = [];
  const keys = () => Reflect.ownKeys(Object.prototype).map(String).join();
  const before = keys();
  for (let number = 0; number < ROUNDS && wrong.length < 5; number++) {
    const bytes = mutation(seeds, kind, seed, purpose, number);
    let outcome = 'accepted';
    try {
      await inTime(read(bytes));
    } catch (error) {
      if (error instanceof AppError && error.code.startsWith('data/')) outcome = error.code;
      else {
        wrong.push(`seed ${seed}, mutation ${number}: ${String(error)}`);
        parser.terminate();
        parser = spawn();
      }
    }
    outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1);
    if (keys() !== before) wrong.push(`seed ${seed}, mutation ${number}: a prototype changed`);
  }
  expect(wrong).toEqual([]);
  expect(Reflect.get(window, 'pwned')).toBeUndefined();
  return outcomes;
}

describe(`${ROUNDS} damaged files of each kind in the browser’s own decoders`, () => {
  it('pictures are decoded or refused with a reason', async () => {
    const seeds = await seedsIn('good/', 2000);
    const outcomes = await fuzz(seeds, 'bytes', 'decoded pictures', decodePicture);
    console.info('pictures', Object.fromEntries(outcomes));
    expect(outcomes.get('accepted')).toBeGreaterThan(0);
    expect(outcomes.get('data/picture-broken')).toBeGreaterThan(0);
  }, 1_800_000);

  it('zips are read or refused with a reason', async () => {
    const seeds = await seedsIn('zips/good', 20_000);
    const outcomes = await fuzz(seeds, 'zip', 'inflated zips', readZip);
    console.info('zips', Object.fromEntries(outcomes));
    expect(outcomes.get('accepted')).toBeGreaterThan(0);
    expect(outcomes.get('data/zip-damaged')).toBeGreaterThan(0);
  }, 1_800_000);

  it('a GIF of a hundred thousand frames is its first one', async () => {
    const [frames] = await seedsIn('good/two-frames', 2000);
    const whole = frames ?? new Uint8Array();
    // Everything between the header and the end, again and again.
    const body = whole.subarray(13, whole.length - 1);
    const parts: BlobPart[] = [new Uint8Array(whole.subarray(0, 13))];
    const many = new Uint8Array(body.length * 1000);
    for (let copy = 0; copy < 1000; copy++) many.set(body, copy * body.length);
    for (let thousand = 0; thousand < 50; thousand++) parts.push(many);
    parts.push(Uint8Array.of(0x3b));
    const { pixels } = await inTime(parser.api.decodePicture(new Blob(parts), SPEC));
    expect(pixels).toHaveLength(3 * SPEC.size ** 2);
  }, 60_000);

  it('a JPEG whose frame lies is refused, and a good picture is decoded afterwards', async () => {
    const [good] = await seedsIn('good/quadrants.jpg', 2000);
    const lying = new Uint8Array(good ?? []);
    const at = lying.findIndex((byte, i) => byte === 0xff && lying[i + 1] === 0xc0);
    new DataView(lying.buffer).setUint16(at + 5, 7000);
    new DataView(lying.buffer).setUint16(at + 7, 7000);
    const answer: unknown = await inTime(
      parser.api.decodePicture(new Blob([lying]), SPEC).catch((error: unknown) => error),
    );
    // Browsers may fill what is missing; nothing larger than the header says is ever made.
    if (answer instanceof Error) expect(answer).toMatchObject({ code: 'data/picture-broken' });
    const { pixels } = await inTime(
      parser.api.decodePicture(new Blob([new Uint8Array(good ?? [])]), SPEC),
    );
    expect(pixels).toHaveLength(3 * SPEC.size ** 2);
  });
});
