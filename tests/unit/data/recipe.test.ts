import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { balancedWeights } from '../../../src/data/batches/batches';
import { compileRecipe } from '../../../src/data/recipe/compile';
import { rawInputs } from '../../../src/data/recipe/encode';
import { fitRecipe } from '../../../src/data/recipe/fit';
import { runRecipe } from '../../../src/data/recipe/run';
import { readTarget } from '../../../src/data/target';
import { runOnnxRuntime } from '../../support/onnxruntime';
import { memoryDataApi, memoryStore, openDataset, tableOf } from '../../support/data';
import { RECIPE } from '../../support/run-config';
import type { RawInputs } from '../../../src/data/recipe/encode';
import type { FittedRecipe, RecipeConfig } from '../../../src/protocol/entities';

interface Golden {
  readonly numeric: Record<string, (number | null)[]>;
  readonly categorical: Record<string, (string | null)[]>;
  readonly train: number[];
  readonly results: { impute: 'median' | 'mean'; standardise: boolean; features: number[] }[];
  readonly balanced: { counts: number[]; weights: number[] };
}

const golden = JSON.parse(
  readFileSync(join(import.meta.dirname, '../../fixtures/data/recipe-golden.json'), 'utf8'),
) as Golden;

const columns = { ...golden.numeric, ...golden.categorical };
const rows = golden.numeric['length']?.length ?? 0;

function csv(): string {
  const names = Object.keys(columns);
  const lines = Array.from({ length: rows }, (_, row) =>
    [...names.map((name) => columns[name]?.[row] ?? ''), row % 2 ? 'yes' : 'no'].join(','),
  );
  return [[...names, 'answer'].join(','), ...lines].join('\n') + '\n';
}

function largestDifference(a: ArrayLike<number>, b: ArrayLike<number>): number {
  expect(a.length).toBe(b.length);
  let largest = 0;
  for (let index = 0; index < a.length; index++) {
    const scale = Math.max(1, Math.abs(b[index] ?? 0));
    largest = Math.max(largest, Math.abs((a[index] ?? NaN) - (b[index] ?? NaN)) / scale);
  }
  return largest;
}

async function onRuntime(recipe: FittedRecipe, inputs: RawInputs): Promise<number[]> {
  const feeds = new Map(inputs.map((input) => [input.name, input]));
  const outputs = await runOnnxRuntime(compileRecipe(recipe), feeds);
  return outputs.get('features')?.data ?? [];
}

describe('recipe', () => {
  it.each(golden.results)(
    'equals scikit-learn: $impute, standardised $standardise',
    async (one) => {
      const table = await tableOf(csv());
      const target = await readTarget(table, { target: 'answer', task: 'classification' });
      const config: RecipeConfig = {
        ...RECIPE,
        imputeNumeric: one.impute,
        standardise: one.standardise,
        // The constant column would be left out; here it proves that zero variance is safe.
        use: { constant: true },
      };
      const { recipe } = await fitRecipe(table, target, config, Uint32Array.from(golden.train));
      const inputs = await rawInputs(
        table,
        recipe,
        Uint32Array.from({ length: rows }, (_, row) => row),
      );
      const ours = runRecipe(compileRecipe(recipe), inputs);
      expect(recipe.featureDims).toEqual([ours.length / rows]);
      expect(largestDifference(ours, one.features)).toBeLessThan(2e-5);
      expect(largestDifference(await onRuntime(recipe, inputs), ours)).toBeLessThan(2e-5);
    },
  );

  it('is fitted on the training rows and nothing else', async () => {
    const table = await tableOf('x,c,y\n1,a,p\n2,b,q\n3,a,p\n1000,z,q\n');
    const target = await readTarget(table, { target: 'y', task: 'classification' });
    const { recipe } = await fitRecipe(table, target, RECIPE, Uint32Array.of(0, 1, 2));
    expect(recipe.input).toEqual({
      type: 'table',
      numeric: [{ column: 'x', impute: 2, mean: 2, scale: Math.sqrt(2 / 3), min: 1, max: 3 }],
      categorical: [{ column: 'c', vocabulary: ['a', 'b'], typical: 'a' }],
    });
    const [, codes] = await rawInputs(table, recipe, Uint32Array.of(0, 3));
    expect(codes?.data).toEqual(BigInt64Array.of(2n, 1n));
  });

  it('is safe where every training value is missing, and standardises a numeric target', async () => {
    const table = await tableOf('x,g,y\n,1,10\n,2,20\n7,4,30\n');
    const target = await readTarget(table, { target: 'y', task: 'regression' });
    const { recipe } = await fitRecipe(
      table,
      target,
      { ...RECIPE, use: { x: true } },
      Uint32Array.of(0, 1),
    );
    expect(recipe.target).toEqual({ task: 'regression', column: 'y', mean: 15, scale: 5 });
    const inputs = await rawInputs(table, recipe, Uint32Array.of(0, 2));
    expect([...runRecipe(compileRecipe(recipe), inputs)].every(Number.isFinite)).toBe(true);
  });

  it('refuses numbers that float32 cannot tell apart, and says so', async () => {
    const lines = Array.from(
      { length: 60 },
      (_, row) => `${1.7e12 + row * 10},${row % 7},${row % 2}`,
    );
    const table = await tableOf(`time,x,y\n${lines.join('\n')}\n`);
    const target = await readTarget(table, { target: 'y', task: 'classification' });
    const fitted = await fitRecipe(
      table,
      target,
      RECIPE,
      Uint32Array.from({ length: 40 }, (_, row) => row),
    );
    expect(fitted.findings.map(({ code, column }) => [code, column])).toEqual([
      ['too-large', 'time'],
    ]);
    expect(fitted.recipe.featureDims).toEqual([1]);
  });

  it('throws where no column is left', async () => {
    const table = await tableOf('k,y\n1,a\n1,b\n');
    const target = await readTarget(table, { target: 'y', task: 'classification' });
    await expect(fitRecipe(table, target, RECIPE, Uint32Array.of(0, 1))).rejects.toMatchObject({
      code: 'data/no-features',
    });
  });

  it('turns pictures into shares of white, on onnxruntime too', async () => {
    const store = memoryStore();
    const dataset = await openDataset(memoryDataApi(store), store, 'digits');
    const target = await readTarget(dataset, { target: 'label', task: 'classification' });
    const { recipe } = await fitRecipe(dataset, target, RECIPE, Uint32Array.of(0, 1));
    expect(recipe.featureDims).toEqual([1, 28, 28]);
    const inputs = await rawInputs(dataset, recipe, Uint32Array.of(0, 5, 9999));
    const pixels = inputs[0]?.data as Uint8Array;
    const ours = runRecipe(compileRecipe(recipe), inputs);
    expect(ours).toEqual(Float32Array.from(pixels, (level) => level / 255));
    expect(await onRuntime(recipe, inputs)).toEqual([...ours]);
  });
});

describe('balanced class weights', () => {
  it('equal scikit-learn', () => {
    const { counts, weights } = golden.balanced;
    expect(largestDifference(balancedWeights(counts), weights)).toBeLessThan(1e-12);
  });
});
