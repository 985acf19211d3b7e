/** Try, Versions, Compress and Settings: what they ask of the services, and that axe finds nothing on them. */
import axe from 'axe-core';
import type { Component } from 'svelte';
import { page, userEvent } from 'vitest/browser';
import { describe, expect, test, vi } from 'vitest';
import { render } from 'vitest-browser-svelte';
import type { RawPart } from '../../../src/protocol/api';
import type { FittedRecipe, ModelVersion } from '../../../src/protocol/entities';
import { App } from '../../../src/state/app.svelte';
import { fitOf } from '../../../src/state/model-import.svelte';
import type { Studio } from '../../../src/state/studio';
import { TableForm } from '../../../src/state/table-form.svelte';
import { TryOne } from '../../../src/state/try-one.svelte';
import { WholeFile } from '../../../src/state/whole-file.svelte';
import Compress from '../../../src/ui/screens/compress/Screen.svelte';
import Settings from '../../../src/ui/screens/settings/Screen.svelte';
import Drawing from '../../../src/ui/screens/try/Drawing.svelte';
import Try from '../../../src/ui/screens/try/Screen.svelte';
import Versions from '../../../src/ui/screens/versions/Screen.svelte';
import { judged } from './judged-studio';
import ScreenHarness from './ScreenHarness.svelte';

const TABLE = {
  type: 'table',
  numeric: [{ column: 'mass', impute: 4000, mean: 4200, scale: 800, min: 2700, max: 6300 }],
  categorical: [{ column: 'island', vocabulary: ['Biscoe', 'Dream'], typical: 'Dream' }],
} as const satisfies FittedRecipe['input'];

describe('TableForm', () => {
  test('begins with typical values, in the codes of the recipe', () => {
    const [numeric, categorical] = new TableForm(TABLE).inputs;
    expect(numeric).toMatchObject({ name: 'numeric', dims: [1, 1] });
    expect([...(numeric?.data ?? [])]).toEqual([4000]);
    expect([...(categorical?.data ?? [])]).toEqual([3n]);
  });

  test('an empty number is missing, and one beyond the training range is outside', () => {
    const form = new TableForm(TABLE);
    form.setNumber(0, null);
    expect([...(form.inputs[0]?.data ?? [])]).toEqual([NaN]);
    expect(form.outside(0)).toBe(false);
    form.setNumber(0, 6300.5);
    expect(form.outside(0)).toBe(true);
  });

  test('a real row at the very edge of the range is inside, as float32 writes it', () => {
    const form = new TableForm({
      ...TABLE,
      numeric: [{ ...TABLE.numeric[0], min: 0.1, max: 0.7 }],
    });
    form.fill([
      { name: 'numeric', dtype: 'float32', dims: [1, 1], data: Float32Array.of(0.7) },
      { name: 'categorical', dtype: 'int64', dims: [1, 1], data: BigInt64Array.of(0n) },
    ]);
    expect(form.outside(0)).toBe(false);
    expect(form.codes).toEqual([0]);
  });
});

function ask(value: number): RawPart['inputs'] {
  return [{ name: 'numeric', dtype: 'float32', dims: [1, 1], data: Float32Array.of(value) }];
}

describe('TryOne', () => {
  test('while one answer is on its way only the newest of the others is asked', async () => {
    const { project } = await judged();
    const model = project.records.models[0];
    if (!model) throw new Error('The studio has no model.');
    const asked: number[] = [];
    const predict = vi.fn(async (_: unknown, inputs: RawPart['inputs']) => {
      asked.push(Number(inputs[0]?.data[0]));
      await new Promise((resolve) => setTimeout(resolve, 20));
      return { rows: 1, values: Float32Array.of(0.75), milliseconds: 1 };
    });
    const studio: Studio = Object.assign(Object.create(null), { infer: { predict } });
    const one = new TryOne(studio, [model]);
    for (const value of [1, 2, 3, 4]) one.ask(ask(value));
    await vi.waitFor(() => expect(asked).toEqual([1, 4]));
    // One value for two classes is the second one's probability.
    await vi.waitFor(() => expect(one.answers[0]?.values).toEqual([0.25, 0.75]));
    one.ask(null);
    expect(one.answers).toEqual([]);
  });
});

describe('WholeFile', () => {
  test('an answer that comes after it was cancelled is not shown', async () => {
    let answer: (table: unknown) => void = () => undefined;
    const cancel = vi.fn(async () => Promise.resolve());
    const studio: Studio = Object.assign(Object.create(null), {
      predictTable: () => new Promise((resolve) => (answer = resolve)),
      cancel,
    });
    const whole = new WholeFile(studio);
    const predicted = whole.predict('m', new File(['a\n1'], 'birds.csv'), 'Reading');
    expect(whole.progress?.label).toBe('Reading');
    whole.cancel();
    expect(cancel).toHaveBeenCalledTimes(1);
    answer({ csv: new ArrayBuffer(1), rows: 1, findings: [] });
    await predicted;
    expect(whole.answer).toBeNull();
    expect(whole.progress).toBeNull();
  });
});

describe('fitOf', () => {
  test('a model without a recipe, or with other columns, does not fit and says which', async () => {
    const { project } = await judged();
    const recipe = project.records.models[0]?.recipe ?? null;
    expect(fitOf(null, project.records.dataset)).toMatchObject({ fits: false, why: 'no-recipe' });
    expect(fitOf(recipe, project.records.dataset)).toEqual({
      fits: false,
      why: 'target',
      columns: ['animal'],
    });
  });
});

describe('Drawing', () => {
  test('by keyboard: the pen is put down, moved and cleared', async () => {
    const ondraw = vi.fn();
    render(Drawing, { size: 28, picture: null, ondraw });
    const paper = page.getByRole('application');
    paper.element().focus();
    await userEvent.keyboard('{ArrowUp}');
    expect(ondraw).not.toHaveBeenCalled();
    await userEvent.keyboard(' {ArrowDown}{ArrowDown}');
    await vi.waitFor(() => expect(ondraw).toHaveBeenCalled());
    const [inputs] = ondraw.mock.lastCall ?? [];
    expect(inputs[0]).toMatchObject({ name: 'image', dims: [1, 1, 28, 28] });
    expect(Math.max(...inputs[0].data)).toBe(255);
    await userEvent.keyboard('{Delete}');
    expect(ondraw.mock.lastCall).toEqual([null]);
  });
});

/** The studio of `judged` with an int8 copy, and the rest of what these screens ask. */
async function studioWithCopy() {
  const made = await judged();
  const parent = made.project.records.models.at(-1);
  if (!parent) throw new Error('The studio has no model.');
  const copy: ModelVersion = {
    ...parent,
    id: 'copy',
    number: 9,
    name: 'Run 1 (int8-static)',
    kind: 'int8-static',
    runId: null,
    parentId: parent.id,
    file: { ...parent.file, bytes: 700 },
  };
  const before = await made.store.listModels();
  made.store.listModels.mockResolvedValue([...before, copy]);
  const setStage = vi.fn(async () => Promise.resolve(parent));
  const comparison = {
    rows: 20,
    loss: { value: 0.05, low: 0.01, high: 0.09 },
    onlyARight: 1,
    onlyBRight: 0,
  };
  const compare = vi.fn(async () => Promise.resolve(comparison));
  const predict = vi.fn(async () =>
    Promise.resolve({ rows: 1, values: Float32Array.of(0.2, 0.8), milliseconds: 1 }),
  );
  const usage = { bytes: 5000, quota: 1e9, persisted: false };
  Object.assign(made.store, {
    setStage,
    usage: async () => Promise.resolve(usage),
    listProjects: async () => Promise.resolve([]),
    listDatasets: async () => Promise.resolve([]),
  });
  const part = { inputs: [], truth: Float64Array.of(1), rows: Uint32Array.of(4) };
  Object.assign(made.studio, {
    infer: { compare, predict },
    openPart: vi.fn(async () => Promise.resolve(part)),
    device: { override: async () => Promise.resolve('auto') },
    tabs: { follow: () => () => undefined },
  });
  await made.project.records.loadModels();
  return { ...made, parent, copy, setStage, compare, predict };
}

async function shown(screen: Component, hash: string) {
  location.hash = hash;
  const made = await studioWithCopy();
  const app = new App(async () => Promise.resolve(made.studio));
  render(ScreenHarness, { app, project: made.project, screen });
  return made;
}

async function findings(): Promise<string[]> {
  const { violations } = await axe.run(document, {
    rules: { region: { enabled: false }, 'page-has-heading-one': { enabled: false } },
  });
  return violations.map(({ id, nodes }) => `${id}: ${nodes[0]?.html ?? ''}`);
}

describe('the screens', () => {
  test('Try asks model and copy, and only the checking part for real rows', async () => {
    const { predict, studio, parent } = await shown(Try, '#/p/p1/try');
    await expect.element(page.getByText('It says dog, and is 80% sure.')).toBeVisible();
    expect(predict).toHaveBeenCalledTimes(2);
    expect(studio.openPart).toHaveBeenCalledWith(expect.anything(), parent, 'validation');
    await userEvent.click(page.getByRole('button', { name: 'Any row' }));
    await expect.element(page.getByText('Row 5 of the data. Its animal: dog.')).toBeVisible();
    expect(await findings()).toEqual([]);
  });

  test('Versions: a stage is set; two that were judged on other parts are not compared by rows', async () => {
    const { setStage, compare, evaluate, copy } = await shown(Versions, '#/p/p1/versions');
    await userEvent.selectOptions(
      page.getByLabelText('Stage of Run 1', { exact: true }),
      'champion',
    );
    expect(setStage).toHaveBeenCalledWith('m-r1', 'champion');
    await userEvent.click(page.getByLabelText('Compare Run 1', { exact: true }));
    await userEvent.click(page.getByLabelText(`Compare ${copy.name}`));
    await expect.element(page.getByText(/not judged on the same rows/)).toBeVisible();
    expect(compare).not.toHaveBeenCalled();
    await userEvent.click(page.getByRole('button', { name: 'Judge both' }));
    await expect.element(page.getByText('Run 1 is better on these rows')).toBeVisible();
    expect(evaluate.mock.calls.map(([, id, part]) => `${id} ${part}`)).toEqual([
      'm-r1 validation',
      'copy validation',
    ]);
    expect(await findings()).toEqual([]);
  });

  test('Compress: both are judged on the checking part, and the loss has its interval', async () => {
    const { evaluate } = await shown(Compress, '#/p/p1/compress');
    await userEvent.click(page.getByRole('button', { name: 'Judge' }).last());
    await expect.element(page.getByText(/loses at most 9 points/)).toBeVisible();
    for (const [, , part] of evaluate.mock.calls) expect(part).toBe('validation');
    expect(await findings()).toEqual([]);
  });

  test('Settings: what is kept is said, its details are elsewhere; erasing waits for the word', async () => {
    await shown(Settings, '#/settings');
    await expect.element(page.getByText('5 kB used; the browser allows 1 GB.')).toBeVisible();
    const details = page.getByRole('link', { name: 'Storage in detail' });
    await expect.element(details).toHaveAttribute('href', '#/storage');
    expect(await findings()).toEqual([]);
    await userEvent.click(page.getByRole('button', { name: 'Erase everything' }));
    const erase = page.getByRole('dialog').getByRole('button', { name: 'Erase everything' });
    await expect.element(erase).toBeDisabled();
    await userEvent.fill(page.getByLabelText(/^Type/), 'erase');
    await expect.element(erase).toBeEnabled();
  });
});
