/** A storage that does not open: what the person is told, what can be saved all the same, and how to go on. */
import { mkdtemp, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { amiss } from '../../support/looks';
import { dump, numbersFile, rowsOf } from '../../support/stored';
import { openStudio } from '../../support/studio';
import type { Opened } from '../../support/studio';

const SOON = { timeout: 90_000 };
const CONTEXT = { serviceWorkers: 'block', acceptDownloads: true } as const;
const STORE_WORKER = /store\.worker[^/]*\.js/;

/** In the place of the browser's own refusal: with a version (an upgrade), or always. */
const refusing = (name: string, message: string, always: boolean): string => `
  {
    const open = IDBFactory.prototype.open;
    IDBFactory.prototype.open = function (database, version) {
      if (version === undefined && !${String(always)}) return open.call(this, database);
      throw new DOMException(${JSON.stringify(message)}, ${JSON.stringify(name)});
    };
  }
`;

let folder: string;
let studio: Opened;
let table: Awaited<ReturnType<typeof numbersFile>>;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'terrarium-rescue-'));
  table = await numbersFile('clinic.csv', 20_000, 6);
  studio = await openStudio({ context: CONTEXT });
  await choose(studio, table.path);
  await studio.page.waitForURL(/#\/p\/[^/]+\/goal/, SOON);
}, 240_000);

afterEach(() => studio.context.unroute(STORE_WORKER));

afterAll(async () => {
  await studio.close();
  await table.remove();
  await rm(folder, { recursive: true, force: true });
});

async function choose({ page, url }: Opened, path: string): Promise<void> {
  await page.goto('about:blank');
  await page.goto(`${url}#/`);
  await page.locator('section.own input[type=file]').setInputFiles(path);
}

/** From here on the store's worker meets a browser that refuses to open. */
async function refuse(how: string): Promise<void> {
  await studio.context.route(STORE_WORKER, async (route) => {
    const response = await route.fetch();
    await route.fulfill({ response, body: how + (await response.text()) });
  });
}

async function home({ page, url }: Opened): Promise<void> {
  await page.goto('about:blank');
  await page.goto(`${url}#/`);
}

async function aside(): Promise<Page> {
  const page = await studio.context.newPage();
  await page.goto(`${studio.url}data/penguins.json`);
  return page;
}

async function healthy({ page, url }: Opened): Promise<void> {
  await page.goto(`${url}#/storage`);
  await page.getByRole('button', { name: 'Check every byte' }).click(SOON);
  await page.getByText('every record and every byte is as it was written').waitFor(SOON);
}

test('a full disk at the start: told, and everything is saved from there, unchanged', async () => {
  const { page } = studio;
  const raw = await aside();
  await page.goto('about:blank');
  const before = await dump(raw);
  await refuse(refusing('QuotaExceededError', 'Encountered full disk.', false));
  await home(studio);
  await page.getByRole('heading', { name: 'There is no room to open your projects' }).waitFor(SOON);
  expect(await amiss(page, 'the disk is full at the start')).toEqual([]);
  const coming = page.waitForEvent('download', SOON);
  await page.getByRole('button', { name: 'Save what can be read' }).click();
  const path = join(folder, 'saved.terrarium');
  await (await coming).saveAs(path);
  await page.getByText('Everything that could be read is in the file').waitFor(SOON);
  // 20,000 rows of six numbers: the bytes are there, not only the records.
  expect((await stat(path)).size).toBeGreaterThan(20_000 * 6 * 2);
  await page.goto('about:blank');
  expect(await dump(raw)).toBe(before);
  await raw.close();
  await studio.context.unroute(STORE_WORKER);

  const other = await openStudio({ context: CONTEXT });
  try {
    await choose(other, path);
    await other.page.waitForURL(/\/data$/, SOON);
    const of = async (opened: Opened) => {
      const rows = (await rowsOf(opened.page, 'core', 'datasets')) ?? [];
      return rows.map(({ id }) => id);
    };
    await home(studio);
    expect(await of(other)).toEqual(await of(studio));
    await healthy(other);
  } finally {
    await other.close();
  }
}, 400_000);

test('where truly nothing opens it says so, and a new store beside it leaves the old one as it is', async () => {
  const { page } = studio;
  await refuse(refusing('UnknownError', 'Internal error opening backing store.', true));
  await home(studio);
  await page.getByRole('heading', { name: 'The storage does not open' }).waitFor(SOON);
  await page.getByRole('button', { name: 'Save what can be read' }).click();
  await page.getByRole('alert').filter({ hasText: 'Nothing can be read' }).waitFor(SOON);
  expect(await amiss(page, 'nothing opens')).toEqual([]);
  await studio.context.unroute(STORE_WORKER);

  const anew = page.getByRole('button', { name: 'Begin anew beside it' });
  expect(await anew.isDisabled()).toBe(true);
  await page.getByLabel('Type “begin anew”').fill('begin anew');
  await anew.click();
  await page.getByText('What you make appears here').waitFor(SOON);
  await choose(studio, table.path);
  await page.waitForURL(/#\/p\/[^/]+\/goal/, SOON);
  await healthy(studio);
  // The damaged one is still there, with what it held.
  expect(await rowsOf(page, 'core', 'projects')).toHaveLength(1);
  const names = await page.evaluate(async () =>
    (await indexedDB.databases()).map(({ name = '' }) => name),
  );
  expect(names.filter((name) => name.endsWith('-core'))).toHaveLength(2);
  await page.evaluate(() => localStorage.removeItem('terrarium.databases'));
  await home(studio);
  await page.getByRole('link', { name: 'Open clinic' }).waitFor(SOON);
  await healthy(studio);
}, 400_000);

test('what the browser promises: a refusal is said, and in Safari that seven days are the end', async () => {
  const userAgent =
    'Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.3 Safari/605.1.15';
  const context = await studio.browser.newContext({ ...CONTEXT, userAgent });
  await context.addInitScript(() => {
    StorageManager.prototype.persist = () => Promise.resolve(false);
  });
  const pages = [await studio.context.newPage(), await context.newPage()] as const;
  for (const page of pages) {
    await page.goto(`${studio.url}#/storage`);
    await page.getByRole('heading', { name: 'Will it be kept?' }).waitFor(SOON);
  }
  const sevenDays = (page: Page) => page.getByText('after seven days without a visit').count();
  expect(await sevenDays(pages[0])).toBe(0);
  expect(await sevenDays(pages[1])).toBe(1);
  await pages[1].getByRole('button', { name: 'Ask the browser to keep it' }).click();
  await pages[1].getByText('The browser did not agree').waitFor(SOON);
  await pages[1].getByText('may clear it by itself').waitFor(SOON);
  expect(await amiss(pages[1], 'the storage screen')).toEqual([]);
  await context.close();
  await pages[0].close();
}, 200_000);
