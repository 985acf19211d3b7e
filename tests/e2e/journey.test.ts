import { readFile, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as ort from 'onnxruntime-node';
import type { Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ROOT } from '../../tools/lib/setup.mjs';
import { Journey } from '../support/journey';
import { axeFindings, crowded, settled } from '../support/looks';
import type { Opened } from '../support/studio';
import { openStudio } from '../support/studio';

/**
 * The whole way of a newcomer through the real screens, by mouse and keyboard, on the built studio with the strict
 * policy and no name that resolves. The tests follow one another on one project.
 */
let studio: Opened;
let page: Page;
let folder: string;
let project: string;
let journey: Journey;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'terrarium-journey-'));
  // Playwright cannot see refusals in the service worker's own scope; offline.test.ts looks after that.
  studio = await openStudio({ context: { serviceWorkers: 'block', acceptDownloads: true } });
  page = studio.page;
  journey = new Journey({ page, url: studio.url, folder, patience: 90_000 });
});

afterAll(async () => {
  await studio.close();
  await rm(folder, { recursive: true, force: true });
});

const stage = (name: string) => page.goto(`${project}/${name}`);

describe('from the first screen to an exported model', () => {
  it('one press of a key on Home ends at a result in plain words', async () => {
    await page.getByRole('heading', { name: 'What should your computer learn?' }).waitFor();
    const card = page.getByRole('link', { name: /Which penguin is it/ });
    await card.focus();
    await page.keyboard.press('Enter');
    // A named step within a second.
    await page.locator('h1', { hasText: 'Run 1' }).waitFor({ timeout: 10_000 });
    await page.getByText(/Right on \d+ of \d+ penguins held back/).waitFor({ timeout: 90_000 });
    await page.getByText(/Always guessing the commonest species: \d+/).waitFor();
    journey.here();
    ({ project } = journey);
    expect(project).toMatch(/#\/p\/[\w-]+$/);
  });

  it('Try answers live, and says when a value is outside what it has seen', async () => {
    await page
      .getByRole('button', { name: 'Try it' })
      .or(page.getByRole('link', { name: 'Try it' }))
      .first()
      .click();
    const length = page.getByRole('spinbutton', { name: /^bill_length_mm/ });
    const says = page.getByText(/^It says \w+, and is/);
    await says.waitFor();
    await length.fill('55');
    await page.getByRole('spinbutton', { name: /^bill_depth_mm/ }).fill('15');
    await page.getByRole('spinbutton', { name: /^flipper_length_mm/ }).fill('225');
    await page.getByRole('spinbutton', { name: /^body_mass_g/ }).fill('5600');
    await page.getByRole('combobox', { name: /^island/ }).selectOption('Biscoe');
    await expect.poll(() => says.textContent(), { timeout: 10_000 }).toContain('It says Gentoo');
    await length.fill('400');
    await page
      .getByText(/outside/i)
      .first()
      .waitFor();
  });

  it('Evaluate opens the seal when asked, and counts it', async () => {
    await journey.openSeal();
    await page.getByRole('tab', { name: 'What it looks at' }).click();
    await page.getByRole('tab', { name: 'Confidence' }).click();
    await page
      .getByText(/ECE|calibrat/i)
      .first()
      .waitFor();
  });

  it('a whole file comes back with predictions, its order kept and its formulas harmless', async () => {
    const text = await readFile(join(ROOT, 'static/data/penguins.csv'), 'utf8');
    const [header = '', ...rows] = text.trim().split('\n');
    const columns = header.split(',');
    const drop = columns.indexOf('species');
    const without = [header, ...rows.slice(0, 40)].map((line, index) =>
      [...line.split(',').filter((_, at) => at !== drop), index === 0 ? 'note' : '=1+1'].join(','),
    );
    const file = join(folder, 'unseen.csv');
    await writeFile(file, `${without.join('\n')}\n`);
    const lines = (await journey.answer(file)).trim().split(/\r?\n/);
    expect(lines).toHaveLength(41);
    expect(lines[0]).toContain('prediction');
    expect(lines[0]).toContain('confidence');
    expect(lines[1]).toContain("'=1+1");
    const islands = lines.slice(1).map((line) => line.split(',')[0]);
    expect(islands).toEqual(without.slice(1).map((line) => line.split(',')[0]));
    const species = rows.slice(0, 40).map((line) => line.split(',')[drop]);
    const right = lines
      .slice(1)
      .filter((line, index) => line.includes(species[index] ?? '?')).length;
    expect(right).toBeGreaterThanOrEqual(36);
  });

  it('the downloaded model runs on another runtime', async () => {
    const session = await ort.InferenceSession.create(await journey.download('Run 1'));
    expect(session.inputNames).toEqual(expect.arrayContaining(['numeric', 'categorical']));
    expect(session.outputNames).toContain('probabilities');
  });

  it('the project is still there after a reload, and Home shows it', async () => {
    await page.goto(studio.url);
    await page.reload();
    await page
      .getByRole('link', { name: /Penguins/ })
      .first()
      .waitFor();
  });
});

describe('a table of one’s own', () => {
  it('German numbers in, a question answered, a model out', async () => {
    const rows = Array.from({ length: 150 }, (_, index) => {
      const length = 2 + (index % 50) / 10;
      const width = 1 + ((index * 7) % 30) / 10;
      const kind = length + width > 6.5 ? 'groß' : 'klein';
      return `${index};${length.toFixed(1).replace('.', ',')};${width.toFixed(1).replace('.', ',')};${kind}`;
    });
    const file = join(folder, 'Fische.csv');
    await writeFile(file, Buffer.from(['Nr;Länge;Breite;Größe', ...rows].join('\r\n'), 'latin1'));
    await journey.importTable(file);
    ({ project } = journey);
    expect(project).toMatch(/#\/p\//);
    await stage('data');
    await page.getByText('Länge').first().waitFor();
    await stage('train');
    await page.getByRole('button', { name: 'Train', exact: true }).first().click();
    await page
      .getByText(/9\d(\.\d)?%|100%/)
      .first()
      .waitFor({ timeout: 90_000 });
  });
});

describe('the graph', () => {
  it('finds a node, tells about it, and compares two models', async () => {
    await stage('model');
    await page.getByRole('link', { name: 'See the graph' }).click();
    await page.getByRole('combobox', { name: 'Show' }).selectOption({ label: 'Run 1' });
    await page.getByText('Numbers in it').waitFor();
    await page.getByRole('textbox', { name: 'Find nodes' }).fill('gemm');
    await page.keyboard.press('Enter');
    await page.getByText('transB').waitFor();
    await page
      .getByRole('img', { name: /^Histogram of \d+ numbers/ })
      .first()
      .waitFor();
    // The arrow keys go along the wires, from the picture itself.
    const picture = page.getByRole('application');
    await picture.focus();
    await page.keyboard.press('ArrowDown');
    await page.getByRole('heading', { name: 'Relu' }).waitFor();

    const compare = page.getByRole('combobox', { name: 'Compare with' });
    const [, other = ''] = await compare.locator('option').allTextContents();
    await compare.selectOption(other);
    await page.getByRole('heading', { name: 'What changed' }).waitFor();
    await page.getByRole('textbox', { name: 'Find nodes' }).fill('');
    await page.getByRole('list', { name: 'Changed nodes' }).locator('li').first().waitFor();
  });

  it('is saved as SVG and as PNG', async () => {
    const svg = await readFile(await journey.save('Save the picture as SVG'), 'utf8');
    // The studio's own page parses no markup (Trusted Types), so an empty one does.
    const blank = await page.context().newPage();
    const nodes = await blank.evaluate((text) => {
      const parsed = new DOMParser().parseFromString(text, 'image/svg+xml');
      return parsed.querySelector('parsererror') === null
        ? parsed.querySelectorAll('g > title').length
        : 0;
    }, svg);
    await blank.close();
    expect(nodes).toBeGreaterThan(10);
    const png = await readFile(await journey.save('Save the picture as PNG'));
    expect(png.subarray(1, 4).toString()).toBe('PNG');
  });
});

describe('every screen', () => {
  const STAGES = [
    'data',
    'goal',
    'model',
    'graph',
    'train',
    'evaluate',
    'compress',
    'versions',
    'try',
  ];

  /** What `look` finds amiss on any screen. */
  async function everywhere(look: () => Promise<readonly string[]>): Promise<readonly string[]> {
    const amiss: string[] = [];
    for (const address of [
      studio.url,
      ...STAGES.map((name) => `${project}/${name}`),
      `${studio.url}#/settings`,
    ]) {
      await page.goto(address);
      await page.locator('h1').first().waitFor();
      await page.waitForTimeout(600);
      const found = await look();
      amiss.push(...found.map((finding) => `${address.split('#')[1] ?? '/'}: ${finding}`));
    }
    return amiss;
  }

  it.each(['light', 'dark'] as const)('passes axe in %s', async (colorScheme) => {
    await page.emulateMedia({ colorScheme, reducedMotion: 'reduce' });
    expect(await everywhere(() => axeFindings(page))).toEqual([]);
  });

  it('has room from a narrow phone to a wide screen, and for text twice as large', async () => {
    const sizes = [
      ...[360, 390, 768, 1360, 1920].map((width) => ({ width, text: '100%' })),
      ...[360, 768, 1360].map((width) => ({ width, text: '200%' })),
    ];
    const amiss = await everywhere(async () => {
      const found: string[] = [];
      for (const { width, text } of sizes) {
        await page.setViewportSize({ width, height: 900 });
        await page.evaluate((size) => (document.documentElement.style.fontSize = size), text);
        await settled(page);
        const narrow = await page.evaluate(crowded);
        found.push(...narrow.map((finding) => `${width} px, text at ${text}: ${finding}`));
      }
      await page.evaluate(() => (document.documentElement.style.fontSize = ''));
      return found;
    });
    await page.setViewportSize({ width: 1360, height: 900 });
    expect(amiss).toEqual([]);
  });

  it('keeps the header of a project in one row on a phone', async () => {
    await page.setViewportSize({ width: 390, height: 800 });
    await stage('train');
    await page.locator('h1').first().waitFor();
    const header = page.locator('header').first();
    expect((await header.boundingBox())?.height).toBeLessThan(64);
    await header.getByRole('button', { name: /processor|GPU|Device|Measuring/ }).click();
    await page.getByRole('dialog', { name: 'What trains here' }).waitFor();
    await page.keyboard.press('Escape');
    await page.setViewportSize({ width: 1360, height: 900 });
  });
});

it('nothing was refused, nothing went out, nothing went wrong', () => {
  // The service worker is blocked on purpose in this test, and says so.
  const complaints = studio.complaints.filter(
    (text) => !text.includes('Service Worker registration blocked'),
  );
  expect(complaints).toEqual([]);
  expect(studio.outside).toEqual([]);
  expect(studio.server.requests.filter(({ method }) => method !== 'GET')).toEqual([]);
});
