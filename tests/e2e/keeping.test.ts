import { appendFile, cp, mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { chromium } from 'playwright-core';
import type { Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { CHROMIUM_FLAGS, ensureChromium } from '../../tools/lib/chromium.mjs';
import { startServer } from '../../tools/lib/server.mjs';
import { ensureBuilt, ROOT } from '../../tools/lib/setup.mjs';
import { Journey } from '../support/journey';
import type { Opened } from '../support/studio';
import { openStudio } from '../support/studio';

/** What a person keeps, gives away and takes back: int8 copies, files, the Trash, a shared computer, updates. */
let studio: Opened;
let page: Page;
let folder: string;
let journey: Journey;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'terrarium-keeping-'));
  studio = await openStudio({
    path: '#/new/penguins',
    context: { serviceWorkers: 'block', acceptDownloads: true },
  });
  page = studio.page;
  await page.getByText(/Right on \d+ of \d+ penguins/).waitFor({ timeout: 90_000 });
  journey = new Journey({ page, url: studio.url, folder, patience: 90_000 });
  journey.here();
});

afterAll(async () => {
  await studio.close();
  await rm(folder, { recursive: true, force: true });
});

describe('copies and files', () => {
  it('an int8 copy stands beside its model, judged on the same rows', async () => {
    await journey.quantise();
    await journey.stage('versions');
    await page.getByText(/int8/).first().waitFor();
  });

  it('the exported page answers from a file, with no studio and no network', async () => {
    await journey.stage('try');
    await page.getByRole('tab', { name: 'Export' }).click();
    const path = await journey.save('Save the page');
    const browser = await chromium.launch({
      executablePath: ensureChromium(),
      args: [...CHROMIUM_FLAGS, '--host-resolver-rules=MAP * ~NOTFOUND'],
    });
    const alone = await browser.newPage();
    await alone.goto(pathToFileURL(path).href);
    await alone.getByText('Gentoo').first().waitFor();
    expect(await alone.textContent('body')).toMatch(/\d+(\.\d+)? ?%/);
    await browser.close();
  });

  it('a project file with its rows opens as a project of its own', async () => {
    const { project } = journey;
    const path = await journey.saveProject();
    expect((await readFile(path)).subarray(0, 2).toString()).toBe('PK');
    await journey.openProject(path);
    expect(journey.project).not.toBe(project);
    await journey.stage('versions');
    await page.getByRole('button', { name: 'Run 1', exact: true }).waitFor();
    await journey.stage('data');
    await page.getByText('344 rows').first().waitFor();
  });

  it('a wrong file is refused in words and changes nothing', async () => {
    await page.goto(studio.url);
    const projects = page.getByRole('link', { name: /Penguins/ });
    await expect.poll(() => projects.count()).toBe(2);
    await page
      .locator('input[type=file]')
      .first()
      .setInputFiles({
        name: 'table.csv',
        mimeType: 'text/csv',
        buffer: Buffer.from('PK\u0003\u0004 not a table'),
      });
    await page
      .getByText(/spreadsheet|zip|not a table|not text/i)
      .first()
      .waitFor({ timeout: 10_000 });
    expect(await projects.count()).toBe(2);
  });
});

it('a temporary session leaves nothing on a shared computer', async () => {
  const context = await studio.browser.newContext({
    serviceWorkers: 'block',
    acceptDownloads: true,
  });
  const other = await context.newPage();
  await other.goto(studio.url);
  await other.getByRole('switch', { name: /Temporary session/ }).click();
  await other.getByRole('link', { name: /Which penguin is it/ }).click();
  await other.getByText(/Right on \d+ of \d+ penguins/).waitFor({ timeout: 90_000 });
  await other.goto(studio.url);
  await other.getByRole('button', { name: 'Finish here' }).first().click();
  const [download] = await Promise.all([
    other.waitForEvent('download'),
    other.getByRole('button', { name: 'Save the files' }).click(),
  ]);
  expect(download.suggestedFilename()).toMatch(/\.terrarium$/);
  await other.getByRole('button', { name: 'Erase from this computer' }).click();
  await other.getByText(/nothing of this session is left/).waitFor();
  await context.close();
});

it('a newer version waits until it is asked for, and then takes over', async () => {
  ensureBuilt();
  const copy = join(folder, 'site');
  await cp(join(ROOT, 'dist'), copy, { recursive: true });
  const server = await startServer({ root: copy });
  const browser = await chromium.launch({
    executablePath: ensureChromium(),
    args: [...CHROMIUM_FLAGS],
  });
  try {
    const tab = await browser.newPage();
    await tab.goto(server.url);
    await tab.evaluate(() => navigator.serviceWorker.ready.then(() => undefined));
    await appendFile(join(copy, 'offline.sw.js'), '\n// a newer build\n');
    await tab.reload();
    let loads = 0;
    tab.on('load', () => loads++);
    const offer = tab.getByRole('button', { name: 'A new version is ready' });
    await offer.waitFor({ timeout: 20_000 });
    expect(loads).toBe(0);
    await offer.click();
    await expect.poll(() => loads, { timeout: 10_000 }).toBe(1);
    await tab.locator('h1').first().waitFor();
  } finally {
    await browser.close();
    await server.close();
  }
});

it('no complaint was heard on the way', () => {
  const heard = studio.complaints.filter(
    (text) => !text.includes('Service Worker registration blocked'),
  );
  expect(heard).toEqual([]);
  expect(studio.outside).toEqual([]);
});
