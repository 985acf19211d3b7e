// Pictures from files to batches, as it ships: real workers, the browser's own decoders, the real store.
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { AppError } from '../../../src/core/errors';
import { Studio } from '../../../src/services/studio';
import { Workers } from '../../../src/services/workers';
import { runConfig } from '../../support/run-config';
import type {
  ImportResult,
  PictureOptions,
  PictureSource,
  Progress,
} from '../../../src/protocol/api';
import type { ImagesManifest } from '../../../src/protocol/entities';

const quiet = (): void => undefined;
const OPTIONS: PictureOptions = {
  name: 'test',
  size: 32,
  fit: 'crop',
  folders: 'auto',
  unlabelled: null,
};
const COLOURS = {
  red: [220, 20, 20],
  green: [20, 160, 40],
  blue: [30, 40, 200],
  yellow: [230, 210, 20],
} as const;
const fixtures = import.meta.glob<string>('../../fixtures/pictures/**/*', {
  query: '?url',
  import: 'default',
  eager: true,
});

let workers: Workers;
beforeAll(() => {
  workers = new Workers();
});
afterAll(() => workers.terminate());

async function fixture(path: string): Promise<Blob> {
  const address = fixtures[`../../fixtures/pictures/${path}`];
  if (address === undefined) throw new Error(`no fixture ${path}`);
  return (await fetch(address)).blob();
}

function namesIn(folder: string): string[] {
  const start = `../../fixtures/pictures/${folder}/`;
  return Object.keys(fixtures)
    .filter((path) => path.startsWith(start))
    .map((path) => path.slice(start.length));
}

async function filesOf(paths: Readonly<Record<string, string>>): Promise<PictureSource> {
  const files = await Promise.all(
    Object.entries(paths).map(async ([path, name]) => ({ path, file: await fixture(name) })),
  );
  return { kind: 'files', files };
}

/** A picture of its own for each number. */
async function plain(number: number, side = 40, type = 'image/png'): Promise<Blob> {
  const canvas = new OffscreenCanvas(side, side);
  const context = canvas.getContext('2d');
  if (!context) throw new Error('no canvas');
  context.fillStyle = `rgb(${number % 256} ${Math.floor(number / 256)} 120)`;
  context.fillRect(0, 0, side, side);
  return canvas.convertToBlob({ type });
}

function manifestOf({ dataset: { manifest } }: ImportResult): ImagesManifest {
  if (manifest.type !== 'images') throw new Error('pictures were imported');
  return manifest;
}

async function pixelsOf(id: string, row: number): Promise<(x: number, y: number) => number[]> {
  const [item] = await workers.data.images(id, [row]);
  if (!item) throw new Error('no picture');
  const plane = item.width * item.height;
  return (x, y) =>
    Array.from(
      { length: item.channels },
      (_, c) => item.pixels[c * plane + y * item.width + x] ?? -1,
    );
}

function near(found: readonly number[], wanted: readonly number[], by: number): boolean {
  return (
    found.length === wanted.length &&
    found.every((value, c) => Math.abs(value - (wanted[c] ?? 0)) <= by)
  );
}

async function failure(work: Promise<unknown>): Promise<AppError> {
  const error = await work.then(
    () => null,
    (thrown: unknown) => thrown,
  );
  if (error instanceof AppError) return error;
  throw new Error('an AppError was expected', { cause: error });
}

describe('formats', () => {
  const good = [
    'quadrants.jpg',
    'quadrants.png',
    'quadrants.webp',
    'quadrants-lossy.webp',
    'quadrants.bmp',
    'quadrants.avif',
    'two-frames.gif',
    'turned.jpg',
  ];

  it('decodes each, upright, and only the first frame', async () => {
    const source = await filesOf({
      ...Object.fromEntries(good.map((name) => [`all/one/${name}`, `good/${name}`])),
      'all/two/t.png': 'good/transparent.png',
    });
    const result = await workers.data.importPictures('f', source, OPTIONS, quiet);
    const manifest = manifestOf(result);
    expect(manifest).toMatchObject({
      rows: 9,
      channels: 3,
      height: 32,
      width: 32,
      classes: ['one', 'two'],
      fit: 'crop',
    });
    const sorted = [...good].sort();
    for (const [row, name] of sorted.entries()) {
      const at = await pixelsOf(result.dataset.id, row);
      const seen = { red: at(7, 7), green: at(24, 7), blue: at(7, 24), yellow: at(24, 24) };
      for (const [colour, wanted] of Object.entries(COLOURS))
        expect(
          near(seen[colour as keyof typeof COLOURS], wanted, 14),
          `${name} ${colour} ${JSON.stringify(seen)}`,
        ).toBe(true);
    }
    // What is transparent is white.
    const clear = await pixelsOf(result.dataset.id, 8);
    expect([clear(4, 16), near(clear(28, 16), COLOURS.red, 2)]).toEqual([[255, 255, 255], true]);
  });

  it('cuts out the middle, or keeps all on white', async () => {
    const source = await filesOf({ 'a/wide.png': 'good/wide.png', 'b/grey.png': 'good/grey.png' });
    const cropped = await workers.data.importPictures('c', source, OPTIONS, quiet);
    const middle = await pixelsOf(cropped.dataset.id, 0);
    expect([middle(0, 0), middle(31, 31)].every((seen) => near(seen, COLOURS.yellow, 2))).toBe(
      true,
    );
    const boxed = await workers.data.importPictures(
      'l',
      source,
      { ...OPTIONS, fit: 'letterbox' },
      quiet,
    );
    const whole = await pixelsOf(boxed.dataset.id, 0);
    expect([whole(16, 3), whole(16, 28)]).toEqual([
      [255, 255, 255],
      [255, 255, 255],
    ]);
    expect([near(whole(3, 16), COLOURS.blue, 2), near(whole(16, 16), COLOURS.yellow, 2)]).toEqual([
      true,
      true,
    ]);
  });

  it('keeps small grey sets grey, and turns all coloured when one is', async () => {
    const grey = await filesOf({ 'a/1.png': 'good/grey.png', 'b/2.png': 'good/grey.png' });
    const result = await workers.data.importPictures('g', grey, OPTIONS, quiet);
    expect(manifestOf(result).channels).toBe(1);
    expect(result.findings.map(({ code }) => code)).toEqual([
      'small-class',
      'duplicates',
      'contradictions',
    ]);
    const mixed = await filesOf({ 'a/1.png': 'good/grey.png', 'b/2.png': 'good/quadrants.png' });
    const coloured = await workers.data.importPictures('m', mixed, OPTIONS, quiet);
    expect(manifestOf(coloured).channels).toBe(3);
    const [one, three] = [
      await pixelsOf(result.dataset.id, 0),
      await pixelsOf(coloured.dataset.id, 0),
    ];
    const level = one(5, 20)[0] ?? -1;
    expect(three(5, 20)).toEqual([level, level, level]);
  });
});

describe('malformed files', () => {
  const CODES: Readonly<Record<string, string>> = {
    'text.jpg': 'data/not-a-picture',
    'drawing.svg': 'data/picture-svg',
    'drawing-as.png': 'data/picture-svg',
    'enormous.png': 'data/picture-too-large',
    'enormous.jpg': 'data/picture-too-large',
    'telephone.heic': 'data/not-a-picture',
    'scan.tiff': 'data/not-a-picture',
  };

  it('are left out one by one, named, with the reason', async () => {
    const names = namesIn('malformed');
    expect(names.length).toBeGreaterThan(14);
    const source = await filesOf({
      ...Object.fromEntries(names.map((name) => [`set/a/${name}`, `malformed/${name}`])),
      'set/a/good.png': 'good/quadrants.png',
      'set/b/good.png': 'good/wide.png',
    });
    const result = await workers.data.importPictures('m', source, OPTIONS, quiet);
    const { intake, rows } = manifestOf(result);
    const found = Object.fromEntries(
      (intake?.leftOut ?? []).map(({ name, code }) => [name.slice(6), code]),
    );
    expect(found).toEqual(
      Object.fromEntries(names.map((name) => [name, CODES[name] ?? 'data/picture-broken'])),
    );
    expect(rows).toBe(2);
    expect(intake?.leftOutCount).toBe(names.length);
    expect(result.findings.find(({ code }) => code === 'left-out')?.message).toContain(
      'cut-header.jpg',
    );
  });

  it.each([
    ['cut.zip', 'data/zip-damaged'],
    ['not.zip', 'data/zip-damaged'],
  ])('%s is refused as a whole', async (name, code) => {
    const source: PictureSource = { kind: 'zip', file: await fixture(`zips/${name}`) };
    expect((await failure(workers.data.importPictures('z', source, OPTIONS, quiet))).code).toBe(
      code,
    );
    expect((await failure(workers.data.surveyPictures('z', source, quiet))).code).toBe(code);
  });

  it.each([
    ['good.zip', { 'zoo/notes.txt': 'data/not-a-picture' }],
    ['bomb.zip', { 'zoo/cat/bomb.png': 'data/zip-bomb' }],
    ['lying.zip', { 'zoo/dog/z.png': 'data/zip-damaged' }],
    [
      'locked.zip',
      { 'zoo/notes.txt': 'data/not-a-picture', 'zoo/cat/0.png': 'data/zip-encrypted' },
    ],
    [
      'names.zip',
      Object.fromEntries(
        ['../../evil.png', '/etc/evil.png', 'C:/evil.png', 'zoo/../../evil.png'].map((path) => [
          path,
          'data/unsafe-name',
        ]),
      ),
    ],
  ])('%s gives its good pictures', async (name, leftOut) => {
    const source: PictureSource = { kind: 'zip', file: await fixture(`zips/${name}`) };
    const result = await workers.data.importPictures('z', source, OPTIONS, quiet);
    const { classes, rows, intake } = manifestOf(result);
    expect(classes).toEqual(['cat', 'dog']);
    expect(
      Object.fromEntries((intake?.leftOut ?? []).map(({ name: path, code }) => [path, code])),
    ).toEqual(leftOut);
    expect(rows).toBe(12 - ('zoo/cat/0.png' in leftOut ? 1 : 0));
  });
});

describe('a set', () => {
  it('is refused where it cannot be learned from', async () => {
    const one = await filesOf({ 'a/1.png': 'good/grey.png', 'a/2.png': 'good/wide.png' });
    expect((await failure(workers.data.importPictures('o', one, OPTIONS, quiet))).code).toBe(
      'data/one-class',
    );
    const none: PictureSource = {
      kind: 'files',
      files: [{ path: 'a/b.txt', file: new Blob(['x']) }],
    };
    expect((await failure(workers.data.importPictures('n', none, OPTIONS, quiet))).code).toBe(
      'data/no-pictures',
    );
    const file = await plain(1);
    const many = Array.from({ length: 257 }, (_, n) => ({ path: `${n}/a.png`, file }));
    const tooMany = await failure(
      workers.data.importPictures('m', { kind: 'files', files: many }, OPTIONS, quiet),
    );
    expect(tooMany).toMatchObject({ code: 'data/too-many-classes', data: { classes: 257 } });
    const loose = await filesOf({
      'x.png': 'good/grey.png',
      'a/1.png': 'good/wide.png',
      'b/1.png': 'good/quadrants.png',
    });
    const survey = await workers.data.surveyPictures('s', loose, quiet);
    expect(survey).toMatchObject({ pictures: 3, folders: 'class', size: 64, smallestSide: 64 });
    expect(survey.meanings.class?.unlabelled).toBe(1);
  });

  it('of 1,000 pictures comes in with progress and the page free, and is cancelled at once', async () => {
    const blobs = await Promise.all(Array.from({ length: 1000 }, (_, n) => plain(n, 48)));
    const files = blobs.map((file, n) => ({ path: `set/${n % 4}/${n}.png`, file }));
    const heard: Progress[] = [];
    const result = await workers.data.importPictures(
      'k',
      { kind: 'files', files },
      { ...OPTIONS, size: 64 },
      (p) => heard.push(p),
    );
    expect(manifestOf(result)).toMatchObject({ rows: 1000, classes: ['0', '1', '2', '3'] });
    expect(manifestOf(result).pixels.length).toBe(3);
    expect(result.findings).toEqual([]);
    expect(heard.filter(({ unit }) => unit === 'items').at(-1)).toMatchObject({
      done: 1000,
      total: 1000,
    });
    const before = (await workers.store.usage()).bytes;
    const call = failure(
      workers.data.importPictures(
        'gone',
        { kind: 'files', files },
        { ...OPTIONS, size: 128 },
        quiet,
      ),
    );
    await new Promise((resolve) => setTimeout(resolve, 150));
    await workers.data.cancel('gone');
    expect((await call).code).toBe('data/cancelled');
    expect(before).toBeGreaterThan(0);
  });

  it('grows to a next version: more pictures, a new class, the old rows as they were', async () => {
    const source = await filesOf({ 'a/1.png': 'good/quadrants.png', 'b/1.png': 'good/wide.png' });
    const first = await workers.data.importPictures('1', source, OPTIONS, quiet);
    const size = 32;
    const frame = (level: number): Uint8Array => new Uint8Array(3 * size * size).fill(level);
    const frames = [
      { label: 'c', pixels: frame(9) },
      { label: 'a', pixels: frame(200) },
    ];
    const more: PictureSource = { kind: 'frames', size, frames };
    const next = await workers.data.importPictures(
      '2',
      more,
      { ...OPTIONS, addTo: first.dataset.id },
      quiet,
    );
    expect(manifestOf(next)).toMatchObject({
      rows: 4,
      classes: ['a', 'b', 'c'],
      source: { kind: 'folder' },
    });
    expect(next.dataset.id).not.toBe(first.dataset.id);
    const [old, kept, fresh] = [
      await pixelsOf(first.dataset.id, 0),
      await pixelsOf(next.dataset.id, 0),
      await pixelsOf(next.dataset.id, 2),
    ];
    expect(kept(9, 9)).toEqual(old(9, 9));
    expect(fresh(9, 9)).toEqual([9, 9, 9]);
    const again = await workers.data.importPictures(
      '3',
      more,
      { ...OPTIONS, addTo: next.dataset.id },
      quiet,
    );
    expect(manifestOf(again).intake).toMatchObject({ duplicates: 2, contradictions: 0 });
  });

  it('with groups is parted by group, and prepared for a body by its recipe', async () => {
    const files = await Promise.all(
      Array.from({ length: 36 }, async (_, n) => {
        const group = ['north', 'south', 'west'][n % 3];
        return {
          path: `all/${group}/${n % 2 ? 'odd' : 'even'}/${n}.png`,
          file: await plain(n * 5),
        };
      }),
    );
    const result = await workers.data.importPictures('g', { kind: 'files', files }, OPTIONS, quiet);
    const { groups, classes } = manifestOf(result);
    expect([groups?.names, classes]).toEqual([
      ['north', 'south', 'west'],
      ['even', 'odd'],
    ]);
    const shares = { train: 0.7, validation: 0.15, test: 0.15, seed: 1 };
    const image = {
      resize: { height: 40, width: 40 },
      mean: [0.5, 0.5, 0.5],
      std: [0.25, 0.25, 0.25],
    };
    const run = runConfig({
      datasetId: result.dataset.id,
      target: 'label',
      task: 'classification',
      split: { kind: 'fixed', by: 'group', testGroups: ['west'], ...shares },
      recipe: { format: 1, use: {}, imputeNumeric: 'median', standardise: true, image },
    });
    const prepared = await workers.data.prepare(run);
    expect(prepared.parts.test).toBe(12);
    expect(prepared.parts.train + prepared.parts.validation).toBe(24);
    expect(prepared.recipe).toMatchObject({
      featureDims: [3, 40, 40],
      input: { height: 32, fit: 'crop', ...image },
    });
    const part = await workers.data.readPart(run, prepared.recipe, 'test', { unsealed: true });
    const groupOf = await workers.data.images(result.dataset.id, [...part.rows]);
    expect(new Set(groupOf.map(({ group }) => group))).toEqual(new Set(['west']));
    const whole = await workers.data.prepare({
      ...run,
      split: { kind: 'grouped', by: 'group', ...shares },
    });
    expect(whole.parts).toEqual({ train: 12, validation: 12, test: 12 });
    const one = await workers.data.readPicture(
      'one',
      files[0]?.file ?? new Blob(),
      prepared.recipe,
    );
    expect(one).toMatchObject([{ name: 'image', dims: [1, 3, 32, 32] }]);
  });

  it('with groups and left-out files survives as a project file', async () => {
    const source: PictureSource = { kind: 'zip', file: await fixture('zips/names.zip') };
    const options: PictureOptions = { ...OPTIONS, folders: 'class/group', fit: 'letterbox' };
    const result = await workers.data.importPictures('p', source, options, quiet);
    const studio = new Studio(workers);
    const project = await studio.createProject({ name: 'kept', datasetId: result.dataset.id });
    const { file } = await workers.store.exportProject(project.id, { withData: true });
    await workers.store.eraseEverything();
    const again = await workers.store.importProject(file);
    const dataset = await workers.store.getDataset(again.datasetId ?? '');
    expect(dataset.manifest).toEqual(result.dataset.manifest);
    const at = await pixelsOf(dataset.id, 3);
    expect(at(9, 9)).toHaveLength(3);
  });

  it('of emoji comes with the studio', async () => {
    const result = await workers.data.importEmbedded('e', 'emoji', quiet);
    const { rows, channels, groups, classes } = manifestOf(result);
    expect([rows, channels, groups?.names, classes.length]).toEqual([
      2160,
      3,
      ['Noto', 'Twemoji', 'OpenMoji'],
      9,
    ]);
    // White paper around a face.
    const at = await pixelsOf(result.dataset.id, 720);
    expect(at(0, 0)).toEqual([255, 255, 255]);
    expect(near(at(32, 40), [255, 255, 255], 40)).toBe(false);
  });
});
