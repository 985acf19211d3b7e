// What folders of pictures mean, how they are parted by group, and how they are prepared for a model.
import { describe, expect, it } from 'vitest';
import { AppError } from '../../../src/core/errors';
import { PhiloxStream } from '../../../src/core/philox';
import { augment } from '../../../src/data/batches/augment';
import { findPictures, guessMeaning, possibleMeanings } from '../../../src/data/pictures/layout';
import { sizeFor } from '../../../src/data/pictures/survey';
import { readPictureHeader } from '../../../src/data/pictures/header';
import { compileRecipe } from '../../../src/data/recipe/compile';
import { checkPreparation, pictureDims, preparePictures } from '../../../src/data/recipe/pictures';
import { splitRows } from '../../../src/data/split';
import { runOnnxRuntime } from '../../support/onnxruntime';
import { SPLIT } from '../../support/run-config';
import type { FittedRecipe, ImagePreparation } from '../../../src/protocol/entities';

function code(work: () => unknown): string | null {
  try {
    work();
  } catch (error) {
    if (error instanceof AppError) return error.code;
    throw error;
  }
  return null;
}

describe('folders', () => {
  const classes = (paths: readonly string[]): unknown => {
    const { pictures } = findPictures(paths);
    const meaning = guessMeaning(pictures);
    const layout = possibleMeanings(pictures)[meaning];
    return [
      meaning,
      layout?.classes.map(({ name, count }) => `${name} ${count}`),
      layout?.unlabelled,
    ];
  };

  it('are classes, without the folder around everything', () => {
    const found = ['pets/cat/1.jpg', 'pets/cat/2.JPG', 'pets/dog/x/1.png', 'pets/loose.webp'];
    expect(classes(found)).toEqual(['class', ['cat 2', 'dog 1'], 1]);
    expect(classes(['cat/1.jpg', 'dog/1.jpg'])).toEqual(['class', ['cat 1', 'dog 1'], 0]);
    expect(classes(['cat/1.jpg', 'cat/2.jpg'])).toEqual(['class', ['cat 2'], 0]);
  });

  it('are groups and classes where the inner names come back', () => {
    const vendors = [
      'x/noto/face/1.png',
      'x/noto/flag/2.png',
      'x/twemoji/face/1.png',
      'x/twemoji/flag/2.png',
    ];
    expect(classes(vendors)).toEqual(['group/class', ['face 2', 'flag 2'], 0]);
    const breeds = ['cat/siamese/1.png', 'cat/manx/2.png', 'dog/pug/1.png'];
    expect(classes(breeds)).toEqual(['class', ['cat 2', 'dog 1'], 0]);
  });

  it('leave out what is no picture, and pass over what computers add', () => {
    const { pictures, leftOut } = findPictures([
      'a/b.png',
      'a/.DS_Store',
      '__MACOSX/a/._b.png',
      'a/c.txt',
      '../d.png',
      'a\\e.png',
    ]);
    expect(pictures.map(({ path }) => path)).toEqual(['a/b.png', 'a/e.png']);
    expect(leftOut.map(({ name, code: why }) => [name, why])).toEqual([
      ['a/c.txt', 'data/not-a-picture'],
      ['../d.png', 'data/unsafe-name'],
    ]);
  });

  it('give the same order whatever order they are listed in', () => {
    const paths = ['b/2.png', 'a/1.png', 'b/1.png', 'a/10.png'];
    const order = (list: string[]): string[] => findPictures(list).pictures.map(({ path }) => path);
    expect(order([...paths].reverse())).toEqual(order(paths));
  });

  it('choose a size near the pictures', () => {
    const sizes = [28, 64, 100, 200, 500].map((side) => sizeFor(side, 100));
    expect(sizes).toEqual([32, 64, 96, 128, 224]);
    expect(sizeFor(500, 5000)).toBe(128);
  });
});

describe('headers', () => {
  it('never read past what is there', () => {
    const random = new PhiloxStream(7, 'headers');
    const starts = [
      '\x89PNG\r\n\x1a\n',
      '\xff\xd8\xff',
      'GIF89a',
      'RIFF\0\0\0\0WEBPVP8X',
      'BM',
      '\0\0\0\x1cftypavif',
    ];
    for (let round = 0; round < 600; round++) {
      const start = starts[round % starts.length] ?? '';
      const bytes = Uint8Array.from({ length: start.length + random.below(60) }, (_, at) =>
        at < start.length ? start.charCodeAt(at) : random.below(256),
      );
      const why = code(() => readPictureHeader(bytes));
      if (why !== null)
        expect(why).toMatch(/^data\/(picture-broken|picture-too-large|not-a-picture)$/);
    }
  });
});

describe('splitting by group', () => {
  const rows = 120;
  const values = Float64Array.from({ length: rows }, (_, row) =>
    row % 7 === 0 ? Number.NaN : row % 3,
  );
  const target = { task: 'classification', classes: ['a', 'b', 'c'], values } as const;
  const groups = {
    names: ['n', 's', 'w', 'e'],
    codes: Uint8Array.from({ length: rows }, (_, row) => Math.floor(row / 20) % 4),
  };
  const groupsIn = (part: Uint32Array): string[] =>
    [...new Set([...part].map((row) => groups.names[groups.codes[row] ?? 0] ?? ''))].sort();
  const shares = { train: 0.7, validation: 0.15, test: 0.15, seed: 1 };

  it('seals the named groups and stratifies the others', () => {
    const parts = splitRows(
      target,
      { kind: 'fixed', by: 'group', testGroups: ['w'], ...shares },
      groups,
    );
    expect([groupsIn(parts.test), groupsIn(parts.train), groupsIn(parts.validation)]).toEqual([
      ['w'],
      ['e', 'n', 's'],
      ['e', 'n', 's'],
    ]);
    const all = [...parts.train, ...parts.validation, ...parts.test].sort((a, b) => a - b);
    expect(all).toEqual([...values.keys()].filter((row) => !Number.isNaN(values[row])));
    expect(parts.validation.length / (parts.train.length + parts.validation.length)).toBeCloseTo(
      0.15 / 0.85,
      1,
    );
  });

  it('keeps whole groups together, the same for the same seed', () => {
    const parts = splitRows(target, { kind: 'grouped', by: 'group', ...shares }, groups);
    const seen = [...groupsIn(parts.train), ...groupsIn(parts.validation), ...groupsIn(parts.test)];
    expect(seen.sort()).toEqual(['e', 'n', 's', 'w']);
    expect(splitRows(target, { kind: 'grouped', by: 'group', ...shares }, groups)).toEqual(parts);
  });

  it('says what cannot be', () => {
    expect(code(() => splitRows(target, { kind: 'grouped', by: 'group', ...shares }))).toBe(
      'data/no-groups',
    );
    const wrong = (testGroups: string[]): string | null =>
      code(() => splitRows(target, { kind: 'fixed', by: 'group', testGroups, ...shares }, groups));
    expect([wrong([]), wrong(['x']), wrong(['n', 's', 'w', 'e'])]).toEqual(
      Array(3).fill('data/split-groups'),
    );
    const two = { names: ['n', 's'], codes: groups.codes.map((code_) => code_ % 2) };
    expect(code(() => splitRows(target, { kind: 'grouped', by: 'group', ...shares }, two))).toBe(
      'data/split-groups',
    );
    expect(splitRows(target, SPLIT).test.length).toBeGreaterThan(10);
  });
});

describe('preparing pictures', () => {
  const random = new PhiloxStream(3, 'pictures');
  const cases: [string, number, ImagePreparation][] = [
    ['as they are', 3, {}],
    ['larger', 3, { resize: { height: 21, width: 17 } }],
    ['smaller', 1, { resize: { height: 5, width: 4 } }],
    ['grey to colour', 1, { channelsTo: 3, resize: { height: 20, width: 20 } }],
    ['normalised', 3, { mean: [0.485, 0.456, 0.406], std: [0.229, 0.224, 0.225] }],
    [
      'all at once',
      1,
      {
        channelsTo: 3,
        resize: { height: 14, width: 14 },
        mean: [0.5, 0.4, 0.3],
        std: [0.5, 0.6, 0.7],
      },
    ],
  ];

  it.each(cases)('gives what its graph gives on onnxruntime: %s', async (_, channels, wanted) => {
    const stored = { channels, height: 9, width: 11 };
    const input = { type: 'images' as const, ...stored, ...checkPreparation(stored, wanted) };
    const recipe: FittedRecipe = {
      format: 1,
      input,
      featureDims: pictureDims(input),
      target: { task: 'classification', column: 'label', classes: ['a', 'b'] },
    };
    const data = Uint8Array.from({ length: 2 * channels * 99 }, () => random.below(256));
    const out = new Float32Array(2 * recipe.featureDims.reduce((a, b) => a * b, 1));
    preparePictures(input, data, 2, out);
    const feed = { dtype: 'uint8' as const, dims: [2, channels, 9, 11], data };
    const outputs = await runOnnxRuntime(compileRecipe(recipe), new Map([['image', feed]]));
    const theirs = outputs.get('features')?.data ?? [];
    expect(theirs.length).toBe(out.length);
    let largest = 0;
    out.forEach(
      (value, at) => (largest = Math.max(largest, Math.abs(value - (theirs[at] ?? NaN)))),
    );
    expect(largest).toBeLessThan(2e-6);
  });

  it('says what does not fit', () => {
    const stored = { channels: 3, height: 9, width: 9 };
    expect(code(() => checkPreparation(stored, { mean: [1] }))).toBe('data/preparation');
    expect(code(() => checkPreparation(stored, { resize: { height: 0, width: 9 } }))).toBe(
      'data/preparation',
    );
    expect(code(() => checkPreparation({ ...stored, channels: 4 }, { channelsTo: 3 }))).toBe(
      'data/preparation',
    );
    expect(code(() => checkPreparation(stored, { std: [1, 0, 1] }))).toBe('data/preparation');
    expect(checkPreparation(stored, { resize: { height: 9, width: 9 }, channelsTo: 3 })).toEqual(
      {},
    );
  });
});

describe('augmenting colour', () => {
  const size = { channels: 3, height: 2, width: 4 };
  const picture = Uint8Array.from({ length: 24 }, (_, at) => at * 10);
  const still = { shift: 0, rotate: 0, zoom: 0 };
  const changed = (
    config: Parameters<typeof augment>[3],
    draws: Parameters<typeof augment>[4],
  ): number[] => {
    const out = new Uint8Array(24);
    augment(picture, out, size, config, draws);
    return [...out];
  };

  it('mirrors half of the pictures', () => {
    expect(changed({ ...still, flip: true }, [0, 0, 0, 0, 0.5])).toEqual([...picture]);
    expect(changed({ ...still, flip: true }, [0, 0, 0, 0, -0.5]).slice(0, 8)).toEqual([
      30, 20, 10, 0, 70, 60, 50, 40,
    ]);
  });

  it('goes on with the edge outside', () => {
    expect(changed({ ...still, shift: 2 }, [1, 0, 0, 0]).slice(0, 4)).toEqual([0, 0, 0, 10]);
    expect(changed({ ...still, shift: 2 }, [-1, 0, 0, 0]).slice(20, 24)).toEqual([
      220, 230, 230, 230,
    ]);
  });

  it('changes light and contrast by no more than it says', () => {
    const lighter = changed({ ...still, brightness: 0.2 }, [0, 0, 0, 0, 1, 1, 0]);
    expect(lighter).toEqual([...picture].map((level) => Math.min(255, level + 51)));
    const flat = changed({ ...still, contrast: 0.5 }, [0, 0, 0, 0, 1, 0, -1]);
    expect(flat).toEqual([...picture].map((level) => Math.round(127.5 + (level - 127.5) / 2)));
  });
});
