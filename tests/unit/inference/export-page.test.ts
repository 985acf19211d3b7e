// The exported page, opened from file:// in a real browser: no request, no violation, the runtime's answers.
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import axe from 'axe-core';
import { chromium } from 'playwright-core';
import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { fillPage } from '../../../src/inference/export-page';
import { preprocessDigit } from '../../../src/core/digit-preprocess';
import { slice } from '../../../src/inference/batches';
import { quantiseDynamic } from '../../../src/compress/int8-dynamic';
import type { ModelInput } from '../../../src/inference/runtime';
import { writeModel } from '../../../src/onnx/writer';
import type { Graph } from '../../../src/onnx/graph';
import type { FittedRecipe } from '../../../src/protocol/entities';
import { CHROMIUM_FLAGS, findChromium } from '../../../tools/lib/chromium.mjs';
import { digitsCnn, digitsRecipe, pictures, tableMlp, tableRecipe, tableRows } from './models';
import { nodeRuntime } from './node-runtime';

const root = new URL('../../../', import.meta.url);
const folder = mkdtempSync(join(tmpdir(), 'terrarium-page-'));
let template = '';
let browser: Browser;

beforeAll(async () => {
  execFileSync(process.execPath, ['tools/export-page.mjs'], { cwd: root });
  template = readFileSync(new URL('static/generated/export-page.html', root), 'utf8');
  const executablePath = findChromium();
  if (!executablePath) throw new Error('No Chromium found; set CHROMIUM to its path.');
  browser = await chromium.launch({ executablePath, args: [...CHROMIUM_FLAGS] });
}, 60_000);

afterAll(async () => {
  await browser.close();
  rmSync(folder, { recursive: true });
});

async function opened(graph: Graph, recipe: FittedRecipe, name: string) {
  const file = join(folder, `${name}.html`);
  writeFileSync(file, new Uint8Array(fillPage(template, writeModel(graph), { name, recipe })));
  const page = await browser.newPage();
  const troubles: string[] = [];
  page.on('console', (message) => troubles.push(message.text()));
  page.on('pageerror', (error) => troubles.push(error.message));
  page.on('request', (request) => {
    if (request.url() !== pathToFileURL(file).href) troubles.push(request.url());
  });
  await page.goto(pathToFileURL(file).href);
  expect(troubles).toEqual([]);
  return { page, troubles };
}

/** Asks the page for each row and the runtime for all; returns the largest difference. */
async function largestDifference(page: Page, graph: Graph, inputs: readonly ModelInput[]) {
  const session = await nodeRuntime().open(writeModel(graph));
  let largest = 0;
  for (let row = 0; row < (inputs[0]?.dims[0] ?? 0); row++) {
    const one = slice(inputs, row, row + 1);
    const expected = (await session.run(one, ['probabilities'])).get('probabilities')?.data ?? [];
    const fed = one.map(({ name, dtype, dims, data }) => ({
      name,
      dtype,
      dims,
      values: Array.from<number | bigint>(data).map(String),
    }));
    const found = await page.evaluate((tensors) => {
      const feeds = new Map<string, unknown>();
      for (const { name, dtype, dims, values } of tensors) {
        const data =
          dtype === 'int64'
            ? BigInt64Array.from(values, BigInt)
            : (dtype === 'uint8' ? Uint8Array : Float32Array).from(values.map(Number));
        feeds.set(name, { dtype, dims, data });
      }
      const { terrariumAnswer } = globalThis as {
        terrariumAnswer?: (feeds: ReadonlyMap<string, unknown>) => readonly number[];
      };
      return terrariumAnswer?.(feeds) ?? [];
    }, fed);
    expect(found).toHaveLength(expected.length);
    for (const [index, value] of expected.entries())
      largest = Math.max(largest, Math.abs(value - (found[index] ?? NaN)));
  }
  await session.release();
  return largest;
}

describe('the exported page', () => {
  it('stays small', () => {
    expect(template.length).toBeLessThan(1_000_000);
  });

  it('answers for a table by its form', async () => {
    const graph = tableMlp();
    const recipe = {
      ...tableRecipe,
      target: { ...tableRecipe.target, column: '</script><img src=x onerror=alert(1)>' },
    };
    const { page, troubles } = await opened(graph, recipe, 'Penguins <b>');
    expect(await page.textContent('h1')).toBe('Penguins <b>');
    expect(await page.textContent('#says')).toContain('<img src=x');
    expect(await largestDifference(page, graph, tableRows(20))).toBeLessThan(1e-4);

    const shares = async () => (await page.locator('.share').allTextContents()).map(parseFloat);
    const typical = await shares();
    expect(typical.reduce((sum, share) => sum + share, 0)).toBeCloseTo(100, 0);
    await page.getByLabel('length').fill('75');
    expect(await page.textContent('#answer')).toContain('Outside what it has seen: length.');
    expect(await shares()).not.toEqual(typical);
    await page.getByLabel('island').selectOption('(unknown)');
    expect(troubles).toEqual([]);
    await page.close();
  });

  it.each(['light', 'dark'] as const)('has no axe findings in %s', async (colorScheme) => {
    for (const [graph, recipe] of [
      [tableMlp(), tableRecipe],
      [digitsCnn([4]), digitsRecipe],
    ] as const) {
      const { page } = await opened(graph, recipe, 'A model');
      await page.emulateMedia({ colorScheme });
      await page.setViewportSize({ width: 360, height: 740 });
      await page.evaluate(axe.source);
      const findings = await page.evaluate(async () => {
        const { axe } = globalThis as {
          axe?: { run: () => Promise<{ violations: { id: string; help: string }[] }> };
        };
        if (!axe) throw new Error('axe did not start.');
        return (await axe.run()).violations.map(({ id, help }) => `${id}: ${help}`);
      });
      expect(findings).toEqual([]);
      const sideways = await page.evaluate(
        () => document.documentElement.scrollWidth > document.documentElement.clientWidth,
      );
      expect(sideways).toBe(false);
      await page.close();
    }
  });

  it('answers for drawings, by pointer and by keyboard', async () => {
    const graph = digitsCnn();
    const { page, troubles } = await opened(graph, digitsRecipe, 'Digits');
    expect(await largestDifference(page, graph, pictures(5))).toBeLessThan(1e-4);
    expect(await page.textContent('#answer')).toBe('Draw something.');

    const canvas = page.locator('.drawing');
    const box = await canvas.boundingBox();
    if (!box) throw new Error('The drawing area is not on screen.');
    await page.mouse.move(box.x + 140, box.y + 60);
    await page.mouse.down();
    await page.mouse.move(box.x + 140, box.y + 220, { steps: 5 });
    await page.mouse.up();
    expect(await page.locator('#bars li').count()).toBe(10);
    await page.getByRole('button', { name: 'Clear' }).click();
    expect(await page.textContent('#answer')).toBe('Draw something.');
    await canvas.focus();
    for (let press = 0; press < 10; press++) await page.keyboard.press('Shift+ArrowDown');
    expect(await page.locator('#bars li').count()).toBe(10);
    expect(troubles).toEqual([]);
    await page.close();
  });

  it('answers for an int8 copy too', async () => {
    const { graph } = quantiseDynamic(digitsCnn([4, 8]));
    const { page, troubles } = await opened(graph, digitsRecipe, 'Small digits');
    expect(await largestDifference(page, graph, pictures(3))).toBeLessThan(2e-3);
    expect(troubles).toEqual([]);
    await page.close();
  });

  it('refuses a model without a recipe', () => {
    const bare = { ...tableMlp(), metadata: new Map<string, string>() };
    expect(() => fillPage(template, writeModel(bare), { name: 'x', recipe: null })).toThrow(
      expect.objectContaining({ code: 'export/no-recipe' }),
    );
    expect(preprocessDigit({ width: 1, height: 1, data: Uint8Array.of(0) })).toHaveLength(784);
  });
});
