import { beforeAll, describe, expect, it } from 'vitest';
import { createDataApi } from '../../../src/data/api';
import { NO_MODELS, NO_PICTURES, memoryDataApi, memoryStore, readStatic } from '../../support/data';
import { runConfig } from '../../support/run-config';
import type { DataFinding, Id, RunConfig } from '../../../src/protocol/entities';

const quiet = (): void => undefined;
const api = memoryDataApi();
let penguins: Id = '';
let digits: Id = '';

beforeAll(async () => {
  penguins = (await api.importEmbedded('p', 'penguins', quiet)).dataset.id;
  digits = (await api.importEmbedded('d', 'digits', quiet)).dataset.id;
});

async function imported(text: string): Promise<Id> {
  const file = new Blob([text]);
  const result = await api.importTable('i', file, { name: 'my table.csv', kind: 'file' }, quiet);
  return result.dataset.id;
}

function table(header: string, count: number, row: (index: number) => string): string {
  return `${header}\n${Array.from({ length: count }, (_, index) => row(index)).join('\n')}\n`;
}

function codes(findings: readonly DataFinding[]): string[] {
  return findings.map(({ code, column }) => (column === undefined ? code : `${code}:${column}`));
}

/** Deterministic noise in [0, 1). */
function noise(index: number): number {
  return (Math.sin(index * 12.9898) * 43758.5453) % 1 < 0
    ? ((Math.sin(index * 12.9898) * 43758.5453) % 1) + 1
    : (Math.sin(index * 12.9898) * 43758.5453) % 1;
}

describe('the samples', () => {
  it('are whole, with licence and origin', async () => {
    const { dataset, findings, understood } = await api.importEmbedded('p2', 'penguins', quiet);
    const { manifest } = dataset;
    if (manifest.type !== 'table') throw new Error('penguins are a table');
    expect(manifest.rows).toBe(344);
    expect(manifest.columns.map(({ name, kind, missing }) => [name, kind, missing])).toEqual([
      ['species', 'categorical', 0],
      ['island', 'categorical', 0],
      ['bill_length_mm', 'numeric', 2],
      ['bill_depth_mm', 'numeric', 2],
      ['flipper_length_mm', 'numeric', 2],
      ['body_mass_g', 'numeric', 2],
      ['sex', 'categorical', 11],
    ]);
    expect(manifest.source).toMatchObject({ kind: 'embedded', licence: 'CC0 1.0' });
    expect([findings, understood]).toEqual([[], [',', 'UTF-8']]);
  });

  it('show digits as pictures and labels', async () => {
    const items = await api.images(digits, [0, 1, 9999]);
    expect(
      items.map(({ pixels, channels, height, width }) => [pixels.length, channels, height, width]),
    ).toEqual([
      [784, 1, 28, 28],
      [784, 1, 28, 28],
      [784, 1, 28, 28],
    ]);
    expect(items[0]?.label).toMatch(/^\d$/);
    const summary = await api.summarise(digits, 'label');
    expect(summary.columns[0]?.bars.map(({ count }) => count)).toEqual([
      1001, 1127, 991, 1032, 980, 863, 1014, 1070, 944, 978,
    ]);
    const fours = await api.rows(digits, {
      offset: 0,
      limit: 5,
      filter: { column: 'label', values: ['4'] },
    });
    expect(fours.total).toBe(980);
    expect(fours.rows[0]?.cells).toEqual(['4']);
    await expect(api.images(digits, [10_000])).rejects.toMatchObject({ code: 'data/no-such-row' });
  });
});

describe('suggesting a target', () => {
  it.each([
    [
      'a,species,b',
      (i: number) => `${i * 1.5},${'xyz'[i % 3]},${i % 2 ? 1.5 : 2.5}`,
      'species',
      'classification',
    ],
    [
      'price,size,rooms',
      (i: number) => `${1000 + i * 7.5},${i / 3},${i % 5}`,
      'price',
      'regression',
    ],
    [
      'a,b,fruit',
      (i: number) => `${i / 7},${i * 3.5},${i % 2 ? 'apple' : 'pear'}`,
      'fruit',
      'classification',
    ],
    [
      'shop,a,b',
      (i: number) => `${i % 2 ? 'n' : 's'},${i / 7},${i * 3.5}`,
      'shop',
      'classification',
    ],
    ['a,b', (i: number) => `${i / 7},${i * 3.5}`, 'b', 'regression'],
    ['a,survived', (i: number) => `${i / 7},${i % 2}`, 'survived', 'classification'],
  ] as const)('%s', async (header, row, column, task) => {
    const id = await imported(table(header, 60, row));
    expect(await api.suggestTarget(id)).toMatchObject({ column, task });
  });

  it('gives the reason in words', async () => {
    expect(await api.suggestTarget(penguins)).toEqual({
      column: 'species',
      task: 'classification',
      reason: 'It is called "species".',
    });
  });
});

describe('what is said before training', () => {
  const inspect = async (
    id: Id,
    target: string,
    change: Partial<RunConfig> = {},
  ): ReturnType<typeof api.inspect> =>
    api.inspect(runConfig({ datasetId: id, target, task: 'classification', ...change }));

  it('finds nothing wrong with penguins and splits them', async () => {
    const result = await inspect(penguins, 'species');
    expect(result.findings).toEqual([]);
    expect(result.features.every(({ used, reason }) => used && reason === null)).toBe(true);
    expect(result.parts).toEqual({ train: 240, validation: 52, test: 52 });
    expect((await inspect(penguins, 'sex')).setAside).toBe(11);
  });

  it('leaves columns out with a reason, and takes them on a switch', async () => {
    const header = 'id,unit,note,when,town,x,y';
    const id = await imported(
      table(header, 200, (i) =>
        [
          i + 1,
          'kg',
          `the patient number ${i} said`,
          `2024-01-${(i % 28) + 1}`,
          `town${i % 60}`,
          noise(i),
          i % 2 ? 'a' : 'b',
        ].join(','),
      ),
    );
    const result = await inspect(id, 'y');
    expect(codes(result.findings)).toEqual([
      'identifier:id',
      'constant:unit',
      'free-text:note',
      'date:when',
      'too-many-categories:town',
    ]);
    expect(result.features.map(({ used }) => used)).toEqual([
      false,
      false,
      false,
      false,
      false,
      true,
    ]);
    const switched = runConfig({ datasetId: id, target: 'y', task: 'classification' });
    const recipe = { ...switched.recipe, use: { town: true, x: false } };
    const features = (await inspect(id, 'y', { recipe })).features;
    expect(features.filter(({ used }) => used).map(({ column }) => column)).toEqual(['town']);
    const prepared = await api.prepare({ ...switched, recipe });
    // Missing, other, and the towns that the training rows show.
    const { input } = prepared.recipe;
    const towns = input.type === 'table' ? (input.categorical[0]?.vocabulary.length ?? 0) : 0;
    expect(towns).toBeGreaterThan(50);
    expect(prepared.recipe.featureDims).toEqual([towns + 2]);
  });

  it('warns of few rows, small classes and rows without a target', async () => {
    const id = await imported(
      table('x,y', 40, (i) => `${noise(i)},${i < 2 ? 'rare' : i < 5 ? '' : i % 2 ? 'a' : 'b'}`),
    );
    const result = await inspect(id, 'y');
    expect(codes(result.findings)).toEqual(['missing-target:y', 'few-rows', 'small-class:y']);
    expect([result.usableRows, result.setAside]).toEqual([37, 3]);
  });

  it('suspects a column that alone gives the answer away, and no other', async () => {
    const id = await imported(
      table('fair,leak,leaktext,y', 300, (i) => {
        const y = noise(i) > 0.6 ? 1 : 0;
        return `${(y + noise(i * 3 + 1) * 2).toFixed(3)},${(y * 10 + noise(i * 7 + 2)).toFixed(3)},${y ? 'paid back' : 'never'},${y}`;
      }),
    );
    expect(codes((await inspect(id, 'y')).findings)).toEqual([
      'suspicious:leak',
      'suspicious:leaktext',
    ]);
  });

  it('suspects it for numbers too', async () => {
    const id = await imported(
      table('fair,leak,y', 400, (i) => {
        const y = noise(i) * 100;
        return `${(y + noise(i * 3 + 1) * 100).toFixed(2)},${(y * 1.19).toFixed(2)},${y.toFixed(2)}`;
      }),
    );
    const result = await inspect(id, 'y', { task: 'regression' });
    expect(codes(result.findings)).toEqual(['suspicious:leak']);
  });

  it('does not fire on the columns of penguins whatever the target, nor on 784 pixels', async () => {
    for (const target of ['island', 'sex']) {
      expect(
        codes((await inspect(penguins, target)).findings).filter((code) => code.startsWith('susp')),
      ).toEqual([]);
    }
    for (const target of ['body_mass_g', 'bill_length_mm']) {
      const { findings } = await inspect(penguins, target, { task: 'regression' });
      expect(codes(findings).filter((code) => code.startsWith('susp'))).toEqual([]);
    }
    const items = await api.images(
      digits,
      Array.from({ length: 500 }, (_, row) => row * 20),
    );
    const header = [...Array.from({ length: 784 }, (_, pixel) => `p${pixel}`), 'y'].join(',');
    const id = await imported(
      table(header, 500, (i) => [...(items[i]?.pixels ?? []), items[i]?.label].join(',')),
    );
    expect(
      codes((await inspect(id, 'y')).findings).filter((code) => code.startsWith('susp')),
    ).toEqual([]);
  });

  it('refuses a target that cannot be one', async () => {
    const id = await imported(table('a,b,c', 60, (i) => `same,${i}x,word${i % 2}`));
    await expect(inspect(id, 'a')).rejects.toMatchObject({ code: 'data/one-class' });
    await expect(inspect(id, 'zzz')).rejects.toMatchObject({ code: 'data/unknown-column' });
    await expect(inspect(id, 'c', { task: 'regression' })).rejects.toMatchObject({
      code: 'data/target-not-numeric',
    });
  });
});

describe('parts', () => {
  it('keep the test rows sealed', async () => {
    const run = runConfig({ datasetId: penguins, target: 'species', task: 'classification' });
    const { recipe } = await api.prepare(run);
    for (const part of ['test', 'all'] as const) {
      await expect(api.readPart(run, recipe, part, { unsealed: false })).rejects.toMatchObject({
        code: 'data/sealed',
      });
    }
    const test = await api.readPart(run, recipe, 'test', { unsealed: true });
    expect(test.rows.length).toBe(52);
    expect(test.inputs.map(({ name, dims }) => [name, dims])).toEqual([
      ['numeric', [52, 4]],
      ['categorical', [52, 2]],
    ]);
    expect(recipe.target).toMatchObject({ classes: ['Adelie', 'Chinstrap', 'Gentoo'] });
    const some = await api.readPart(run, recipe, 'train', { unsealed: false, limit: 10 });
    expect(some.truth.length).toBe(10);
  });
});

describe('screens', () => {
  it('get histograms stacked by class that add up', async () => {
    const summary = await api.summarise(penguins, 'species');
    expect(summary.classes).toEqual(['Adelie', 'Chinstrap', 'Gentoo']);
    for (const column of summary.columns) {
      const total = column.bars.reduce((sum, bar) => sum + bar.count, 0);
      expect(total, column.name).toBe(344 - column.missing);
      for (const bar of column.bars) {
        expect(bar.stacks.reduce((sum, count) => sum + count, 0)).toBe(bar.count);
      }
    }
    const mass = summary.columns.find(({ name }) => name === 'body_mass_g');
    expect([mass?.min, mass?.median, mass?.max, Math.round(mass?.mean ?? 0)]).toEqual([
      2700, 4050, 6300, 4202,
    ]);
    expect((await api.summarise(penguins, null)).columns[0]?.bars[0]?.stacks).toEqual([]);
    expect((await api.summarise(penguins, 'body_mass_g')).classes).toEqual([]);
  });

  it('get rows as text, windowed and filtered', async () => {
    const page = await api.rows(penguins, { offset: 3, limit: 2 });
    expect(page.total).toBe(344);
    expect(page.rows[0]).toEqual({ row: 3, cells: ['Adelie', 'Torgersen', '', '', '', '', ''] });
    const heavy = await api.rows(penguins, {
      offset: 0,
      limit: 1000,
      filter: { column: 'body_mass_g', low: 6000, high: 6300 },
    });
    expect(heavy.total).toBe(4);
    expect(heavy.rows.every(({ cells }) => cells[0] === 'Gentoo')).toBe(true);
    const chosen = await api.rows(penguins, { offset: 0, limit: 5, rows: [343, 0] });
    expect(chosen.rows.map(({ row }) => row)).toEqual([343, 0]);
  });
});

describe('files for prediction', () => {
  const prepared = async (): ReturnType<typeof api.prepare> =>
    api.prepare(runConfig({ datasetId: penguins, target: 'species', task: 'classification' }));
  const needed = 'island;bill_length_mm;bill_depth_mm;flipper_length_mm;body_mass_g;sex';

  it('keep their text, read their notation and map what is unknown to other', async () => {
    const { recipe } = await prepared();
    const file = new Blob([
      `bird;${needed}\nA;Dream;39,1;18,7;181;3.750;male\n=B;Anvers;?;long;195;;\n`,
    ]);
    const read = await api.readForPrediction('r', file, recipe, quiet);
    expect(read.header).toEqual(['bird', ...needed.split(';')]);
    expect(read.cells[1]).toEqual(['=B', 'Anvers', '?', 'long', '195', '', '']);
    const [numeric, categorical] = read.inputs;
    expect([...((numeric?.data as Float32Array) ?? [])]).toEqual(
      [39.1, 18.7, 181, 3750, NaN, NaN, 195, NaN].map(Math.fround),
    );
    const island = recipe.input.type === 'table' ? recipe.input.categorical[0] : undefined;
    const dream = BigInt((island?.vocabulary.indexOf('Dream') ?? -9) + 2);
    expect([...((categorical?.data as BigInt64Array) ?? [])].filter((_, i) => i !== 1)).toEqual([
      dream,
      1n,
      0n,
    ]);
    expect(read.findings).toEqual([
      '"bill_depth_mm": 1 cell is not a number ("long") and counts as missing.',
      '"island": "Anvers" did not occur in training and counts as "other".',
    ]);
  });

  it('are refused by name of the columns that they lack', async () => {
    const { recipe } = await prepared();
    const file = new Blob(['island,sex\nDream,male\n']);
    const error: unknown = await api
      .readForPrediction('r', file, recipe, quiet)
      .catch((e: unknown) => e);
    expect(error).toMatchObject({ code: 'data/missing-columns' });
    expect((error as Error).message).toContain('"bill_length_mm", "bill_depth_mm"');
  });
});

describe('datasets from elsewhere', () => {
  it('are refused when their rows do not match their description', async () => {
    const store = memoryStore();
    const own = memoryDataApi(store);
    const file = new Blob(['a,y\n1,p\n2,q\n']);
    const { dataset } = await own.importTable('i', file, { name: 't', kind: 'paste' }, quiet);
    const longer = await store.putDataset({ ...dataset.manifest, rows: 3 });
    const page = own.rows(longer.id, { offset: 0, limit: 5 });
    await expect(page).rejects.toMatchObject({ code: 'data/damaged' });
    const { dataset: images } = await own.importEmbedded('d', 'digits', quiet);
    if (images.manifest.type !== 'images') throw new Error('digits are pictures');
    const fewer = await store.putDataset({ ...images.manifest, classes: ['0', '1'] });
    await expect(own.images(fewer.id, [0])).rejects.toMatchObject({ code: 'data/damaged' });
  });

  it('keep a long vocabulary in chunks and read it back', async () => {
    const store = memoryStore();
    const own = memoryDataApi(store);
    const text = table('word,y', 3000, (i) => `w${i % 1500},${i % 2}`);
    const { dataset } = await own.importTable(
      'i',
      new Blob([text]),
      { name: 't', kind: 'paste' },
      quiet,
    );
    const word = dataset.manifest.type === 'table' ? dataset.manifest.columns[0] : undefined;
    expect([word?.vocabulary.length, word?.vocabularyChunks?.length, word?.distinct]).toEqual([
      0, 1, 1500,
    ]);
    const page = await own.rows(dataset.id, { offset: 2999, limit: 1 });
    expect(page.rows[0]?.cells).toEqual(['w1499', '1']);
  });
});

describe('cancelling', () => {
  it('settles the call at once and ends its parser, even one that never answers', async () => {
    let ended = 0;
    const stuck = createDataApi({
      openStore: () => memoryStore(),
      spawnParser: () => ({
        api: {
          ...NO_PICTURES,
          ...NO_MODELS,
          parseTable: () => new Promise(quiet),
          parseCells: () => new Promise(quiet),
        },
        failed: new Promise(quiet),
        terminate: () => ended++,
      }),
      readStatic,
    });
    stuck.connectStore(new MessageChannel().port1);
    const call = stuck.importTable('x', new Blob(['a']), { name: 'a', kind: 'paste' }, quiet);
    stuck.cancel('another');
    expect(ended).toBe(0);
    stuck.cancel('x');
    await expect(call).rejects.toMatchObject({ code: 'data/cancelled' });
    expect(ended).toBe(1);
  });
});
