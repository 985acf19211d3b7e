import { beforeAll, describe, expect, it } from 'vitest';
import { augment, augmentDraws } from '../../../src/data/batches/augment';
import { BatchMaker, batchesPerEpoch } from '../../../src/data/batches/batches';
import { featureSource } from '../../../src/data/batches/features';
import { DatasetCache } from '../../../src/data/dataset';
import { Preparations } from '../../../src/data/prepare';
import { compileRecipe } from '../../../src/data/recipe/compile';
import { memoryDataApi, memoryStore } from '../../support/data';
import { runConfig } from '../../support/run-config';
import type { PreparedData } from '../../../src/data/prepare';
import type { BatchMessage, BatchReply, BatchRequest } from '../../../src/protocol/batches';
import type { RunConfig } from '../../../src/protocol/entities';

const store = memoryStore();
const api = memoryDataApi(store);
const preparations = new Preparations(new DatasetCache(store));
const config: Partial<Record<'penguins' | 'digits', RunConfig>> = {};

beforeAll(async () => {
  const quiet = (): void => undefined;
  const { dataset: penguins } = await api.importEmbedded('p', 'penguins', quiet);
  const { dataset: digits } = await api.importEmbedded('d', 'digits', quiet);
  const task = 'classification';
  config.penguins = runConfig({ datasetId: penguins.id, target: 'species', task });
  config.digits = runConfig({ datasetId: digits.id, target: 'label', task });
});

async function makerFor(
  name: 'penguins' | 'digits',
  training: Partial<RunConfig['training']> = {},
): Promise<{ maker: BatchMaker; data: PreparedData; run: RunConfig }> {
  const base = config[name];
  if (!base) throw new Error('not imported');
  const run = { ...base, training: { ...base.training, ...training } };
  const data = await preparations.get(run);
  const { recipe } = data.fitted;
  const features = await featureSource(data.dataset, compileRecipe(recipe), recipe, data.parts, {
    augment: run.training.augment,
    seed: run.seed,
  });
  const maker = new BatchMaker({
    ...data,
    recipe,
    features,
    batchSize: run.training.batchSize,
    classWeights: run.training.classWeights,
    seed: run.seed,
  });
  return { maker, data, run };
}

function epochOf(
  maker: BatchMaker,
  part: 'train' | 'validation',
  epoch: number,
  count: number,
): BatchMessage[] {
  return Array.from({ length: count }, (_, index) =>
    maker.make({ part, epoch, index, recycle: null }),
  );
}

/** ArrayBuffers compare equal whatever they hold; views do not. */
function content(batch: BatchMessage): unknown {
  const { features, labels, weights, rows } = batch;
  return [features, labels, weights]
    .map((buffer) => new Float32Array(buffer))
    .concat([new Float32Array(rows)]);
}

function kept(batches: readonly BatchMessage[]): number[] {
  return batches.flatMap(({ rows, weights }) => {
    const weight = new Float32Array(weights);
    return [...rows].filter((_, place) => weight[place] !== 0);
  });
}

describe('batches of a table', () => {
  it('show every training row once an epoch, in another order each epoch, and fill the tail', async () => {
    const { maker, data } = await makerFor('penguins');
    const train = [...data.parts.train];
    const count = batchesPerEpoch(train.length, 32);
    expect(count).toBe(8); // 241 rows
    const first = epochOf(maker, 'train', 0, count);
    expect(kept(first).sort((a, b) => a - b)).toEqual(train);
    expect(kept(first)).not.toEqual(train);
    expect(kept(epochOf(maker, 'train', 1, count))).not.toEqual(kept(first));
    // The tail is the start of the next permutation.
    const tail = first.at(-1);
    const real = train.length - 7 * 32;
    const next = epochOf(maker, 'train', 1, 1)[0];
    expect([...(tail?.rows ?? [])].slice(real)).toEqual(
      [...(next?.rows ?? [])].slice(0, 32 - real),
    );
    expect(new Float32Array(tail?.weights ?? new ArrayBuffer(0)).slice(real)).toEqual(
      new Float32Array(32 - real),
    );
  });

  it('are the same whatever was asked before, so resuming needs no replay', async () => {
    const { maker } = await makerFor('penguins');
    const { maker: fresh } = await makerFor('penguins');
    epochOf(maker, 'train', 0, 8);
    const ask = { part: 'train', epoch: 5, index: 3, recycle: null } as const;
    expect(content(maker.make(ask))).toEqual(content(fresh.make(ask)));
  });

  it('come in row order for validation, without class weights', async () => {
    const { maker, data } = await makerFor('penguins', { classWeights: 'balanced' });
    const batches = epochOf(maker, 'validation', 0, 2);
    expect(kept(batches)).toEqual([...data.parts.validation]);
    const weights = batches.flatMap((batch) => [...new Float32Array(batch.weights)]);
    expect(new Set(weights)).toEqual(new Set([0, 1]));
  });

  it('weigh classes so that each counts the same', async () => {
    const { maker, data } = await makerFor('penguins', { classWeights: 'balanced' });
    const sums = [0, 0, 0];
    for (const batch of epochOf(maker, 'train', 0, 8)) {
      const labels = new Int32Array(batch.labels);
      new Float32Array(batch.weights).forEach((weight, place) => {
        const label = labels[place] ?? 0;
        sums[label] = (sums[label] ?? 0) + weight;
      });
    }
    for (const sum of sums) expect(sum).toBeCloseTo(data.parts.train.length / 3, 3);
  });

  it('hold the recipe graph of their rows', async () => {
    const { maker, data } = await makerFor('penguins');
    const [batch] = epochOf(maker, 'train', 0, 1);
    if (!batch || data.dataset.type !== 'table' || data.fitted.recipe.input.type !== 'table') {
      throw new Error('penguins are a table');
    }
    const mass = data.fitted.recipe.input.numeric.findIndex(
      ({ column }) => column === 'body_mass_g',
    );
    const feature = data.fitted.recipe.input.numeric[mass];
    const column = await data.dataset.column('body_mass_g');
    if (column.storage !== 'float64' || !feature) throw new Error('mass is a number');
    const width = data.fitted.recipe.featureDims[0] ?? 0;
    const features = new Float32Array(batch.features);
    batch.rows.forEach((row, place) => {
      const value = column.values[row] ?? NaN;
      const whole = Number.isNaN(value) ? feature.impute : value;
      const wanted = (whole - feature.mean) / feature.scale;
      expect(features[place * width + mass]).toBeCloseTo(wanted, 4);
    });
  });

  it('standardise a numeric target', async () => {
    const base = config.penguins;
    if (!base) throw new Error('not imported');
    const run = { ...base, target: 'body_mass_g', task: 'regression' as const };
    const data = await preparations.get(run);
    const { recipe } = data.fitted;
    const features = await featureSource(data.dataset, compileRecipe(recipe), recipe, data.parts, {
      augment: null,
      seed: 1,
    });
    const plan = {
      ...data,
      recipe,
      features,
      batchSize: 400,
      classWeights: 'none' as const,
      seed: 1,
    };
    const batch = new BatchMaker(plan).make({ part: 'train', epoch: 0, index: 0, recycle: null });
    const labels = [...new Float32Array(batch.labels)].slice(0, data.parts.train.length);
    const mean = labels.reduce((sum, value) => sum + value, 0) / labels.length;
    const square = labels.reduce((sum, value) => sum + value ** 2, 0) / labels.length;
    expect(mean).toBeCloseTo(0, 5);
    expect(square).toBeCloseTo(1, 5);
  });

  it('use given buffers again and refuse a batch that is not there', async () => {
    const { maker } = await makerFor('penguins');
    const { features, labels, weights } = maker.make({
      part: 'train',
      epoch: 0,
      index: 0,
      recycle: null,
    });
    const again = maker.make({
      part: 'train',
      epoch: 0,
      index: 1,
      recycle: [features, labels, weights],
    });
    expect(again.features).toBe(features);
    expect(again.labels).toBe(labels);
    expect(again.weights).toBe(weights);
    expect(() => maker.make({ part: 'train', epoch: 0, index: 8, recycle: null })).toThrow(
      /no batch 8/,
    );
  });
});

describe('batches of pictures', () => {
  it('are pixels over 255, and quick enough to keep ahead of a training step', async () => {
    const { maker, data } = await makerFor('digits', { batchSize: 64 });
    if (data.dataset.type !== 'images') throw new Error('digits are pictures');
    const started = performance.now();
    const [batch] = epochOf(maker, 'train', 0, 20);
    const each = (performance.now() - started) / 20;
    expect(each).toBeLessThan(150);
    const { pixels, labels } = data.dataset;
    batch?.rows.forEach((row, place) => {
      const own = new Float32Array(batch.features).subarray(place * 784, (place + 1) * 784);
      const source = pixels.subarray(row * 784, (row + 1) * 784);
      expect(own).toEqual(Float32Array.from(source, (level) => level / 255));
      expect(new Int32Array(batch.labels)[place]).toBe(labels[row]);
    });
  });

  it('are augmented in training only, differently each epoch, the same each time', async () => {
    const change = { batchSize: 16, augment: { shift: 2, rotate: 10, zoom: 0.1 } };
    const { maker } = await makerFor('digits', change);
    const { maker: again } = await makerFor('digits', change);
    const { maker: plain } = await makerFor('digits', { batchSize: 16 });
    const ask = { part: 'train', epoch: 0, index: 0, recycle: null } as const;
    expect(content(maker.make(ask))).toEqual(content(again.make(ask)));
    expect(maker.make(ask).rows).toEqual(plain.make(ask).rows);
    expect(content(maker.make(ask))).not.toEqual(content(plain.make(ask)));
    const validation = { ...ask, part: 'validation' } as const;
    expect(content(maker.make(validation))).toEqual(content(plain.make(validation)));
    expect(augmentDraws(1, 7, 0)).not.toEqual(augmentDraws(1, 7, 1));
  });
});

describe('a batch without features', () => {
  it('has the labels, weights and rows of the whole one, and no features', async () => {
    const { maker } = await makerFor('digits', { classWeights: 'balanced' });
    const request = { part: 'train', epoch: 1, index: 2, recycle: null } as const;
    const whole = maker.make(request);
    const bare = maker.make({ ...request, features: false });
    expect(bare.features.byteLength).toBe(0);
    expect(bare.rows).toEqual(whole.rows);
    expect(bare.labels).toEqual(whole.labels);
    expect(bare.weights).toEqual(whole.weights);
    const { features, labels, weights } = bare;
    const again = maker.make({ ...request, recycle: [features, labels, weights] });
    expect(again.features).toEqual(whole.features);
  });
});

describe('augment', () => {
  const size = { channels: 1, height: 5, width: 5 };
  const picture = Uint8Array.from({ length: 25 }, (_, index) => index * 10);

  function changed(
    config: Parameters<typeof augment>[3],
    draw: Parameters<typeof augment>[4],
  ): number[] {
    const out = new Uint8Array(25);
    augment(picture, out, size, config, draw);
    return [...out];
  }

  it('leaves a picture alone where nothing is drawn', () => {
    expect(changed({ shift: 3, rotate: 30, zoom: 0.5 }, [0, 0, 0, 0])).toEqual([...picture]);
  });

  it('shifts by whole and half pixels, with black outside', () => {
    const right = changed({ shift: 1, rotate: 0, zoom: 0 }, [1, 0, 0, 0]);
    expect(right.slice(0, 5)).toEqual([0, 0, 10, 20, 30]);
    const half = changed({ shift: 1, rotate: 0, zoom: 0 }, [0.5, 0, 0, 0]);
    expect(half.slice(0, 5)).toEqual([0, 5, 15, 25, 35]);
  });

  it('turns by 90 degrees clockwise', () => {
    const turned = changed({ shift: 0, rotate: 90, zoom: 0 }, [0, 0, 1, 0]);
    const wanted = Array.from({ length: 25 }, (_, index) => {
      const row = Math.floor(index / 5);
      const column = index % 5;
      return picture[(4 - column) * 5 + row];
    });
    expect(turned).toEqual(wanted);
  });

  it('zooms in about the centre', () => {
    const bigger = changed({ shift: 0, rotate: 0, zoom: 1 }, [0, 0, 0, 1]);
    expect(bigger[12]).toBe(picture[12]);
    expect(bigger[14]).toBe(picture[13]);
  });
});

describe('serving on a port', () => {
  it('answers requests and says what was wrong', async () => {
    const run = config.penguins;
    if (!run) throw new Error('not imported');
    const { port1, port2 } = new MessageChannel();
    await api.serveBatches(run, port1);
    const ask = (request: BatchRequest): Promise<BatchReply> =>
      new Promise((resolve) => {
        port2.onmessage = (event: MessageEvent<BatchReply>) => resolve(event.data);
        port2.postMessage(request, request.recycle ? [...request.recycle] : []);
      });
    const reply = await ask({ type: 'next', part: 'train', epoch: 0, index: 0, recycle: null });
    if (reply.type !== 'batch') throw new Error('a batch was asked for');
    const { recipe } = await api.prepare(run);
    expect(reply.features.byteLength).toBe(32 * (recipe.featureDims[0] ?? 0) * 4);
    const recycle = [reply.features, reply.labels, reply.weights] as const;
    const second = await ask({ type: 'next', part: 'validation', epoch: 0, index: 0, recycle });
    expect(second.type).toBe('batch');
    const wrong = await ask({ type: 'next', part: 'train', epoch: 0, index: 99, recycle: null });
    expect(wrong.type === 'failure' && wrong.error.code).toBe('data/no-such-batch');
    port2.close();
  });
});
