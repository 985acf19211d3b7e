/** Saving and opening on the built studio: between browsers, refused, into a folder by itself. */
import { execFileSync } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Page } from 'playwright-core';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { ensureBuilt } from '../../tools/lib/setup.mjs';
import { chooseOnHome, everyByteHolds } from '../support/home';
import { axeFindings } from '../support/looks';
import { rowsOf } from '../support/stored';
import { openStudio } from '../support/studio';
import type { Opened } from '../support/studio';

const SOON = { timeout: 60_000 };
const CONTEXT = { serviceWorkers: 'block', acceptDownloads: true } as const;
/** A folder of the browser's own stands in for the one that a person picks; nobody can answer a real question here. */
const PICKER = `globalThis.showDirectoryPicker = async () =>
  (await navigator.storage.getDirectory()).getDirectoryHandle('Backups', { create: true });`;
const NO_PICKERS = `delete globalThis.showDirectoryPicker; delete globalThis.showSaveFilePicker;`;

let folder: string;
let first: Opened;
let saved: string;

beforeAll(async () => {
  ensureBuilt();
  folder = await mkdtemp(join(tmpdir(), 'terrarium-backup-'));
  first = await openStudio({ path: '#/new/penguins', context: CONTEXT, initScript: PICKER });
  await first.page.getByText(/Right on \d+ of \d+ penguins/).waitFor({ timeout: 120_000 });
}, 240_000);

afterAll(async () => {
  await first.close();
  await rm(folder, { recursive: true, force: true });
});

async function settings({ page, url }: Pick<Opened, 'page' | 'url'>): Promise<void> {
  await page.goto('about:blank');
  await page.goto(`${url}#/settings`);
  await page.getByRole('button', { name: 'Save everything as a file' }).waitFor(SOON);
}

/** Through the dialog, as a person does. */
async function saveEverything(studio: Opened): Promise<string> {
  await settings(studio);
  const { page } = studio;
  await page.getByRole('button', { name: 'Save everything as a file' }).click();
  const dialog = page.getByRole('dialog');
  await dialog.getByText('In the file').waitFor(SOON);
  const [download] = await Promise.all([
    page.waitForEvent('download'),
    dialog.getByRole('button', { name: 'Download' }).click(),
  ]);
  const path = join(folder, `${Date.now()}.terrarium`);
  await download.saveAs(path);
  await dialog.getByRole('button', { name: 'Close' }).last().click();
  return path;
}

const TABLES = ['projects', 'datasets', 'runs', 'models', 'evaluations', 'pretrained'] as const;

/** Every record, and the place of every chunk, which is the hash of its bytes. */
async function content(page: Page): Promise<unknown> {
  const found: Record<string, unknown> = {};
  for (const table of TABLES) found[table] = await rowsOf(page, 'core', table);
  const chunks = (await rowsOf(page, 'cache', 'chunkInfo')) ?? [];
  found['chunks'] = chunks.map(({ storageKey, bytes }) => `${String(storageKey)} ${String(bytes)}`);
  return found;
}

test('everything saved in one browser opens in another with the same records and the same bytes', async () => {
  saved = await saveEverything(first);
  const second = await openStudio({ context: CONTEXT });
  try {
    await chooseOnHome(second.page, second.url, saved);
    await second.page.waitForURL(/\/data$/, SOON);
    expect(await content(second.page)).toEqual(await content(first.page));
    await everyByteHolds(second.page, second.url);
    expect(second.outside).toEqual([]);
  } finally {
    await second.close();
  }
});

test('what the studio saved is read by the example of the documentation, with no code of ours', async () => {
  const [, script = ''] =
    /```js\n([\s\S]*?)```/.exec(await readFile('docs/PROJECT-FILES.md', 'utf8')) ?? [];
  await writeFile(join(folder, 'read.mjs'), script);
  const said = execFileSync(process.execPath, [join(folder, 'read.mjs'), saved], {
    encoding: 'utf8',
  });
  expect(said).toContain('all whole');
  expect(said).toContain('rows of Palmer penguins');
  expect(said).toMatch(/model 1 .* bytes of ONNX, whole/);
});

test('a file that is cut off, changed or newer is refused with the reason, and nothing is written', async () => {
  const { page, url } = first;
  const before = await content(page);
  const whole = await readFile(saved);
  const flipped = Buffer.from(whole);
  flipped.writeUInt8(flipped.readUInt8(whole.length >> 1) ^ 4, whole.length >> 1);
  const lies: readonly [string, Buffer, RegExp][] = [
    ['cut', whole.subarray(0, Math.floor(whole.length * 0.7)), /cut off/],
    ['flipped', flipped, /damaged/],
    ['other', Buffer.from('PK, and no zip'), /project file/],
  ];
  for (const [name, bytes, reason] of lies) {
    const path = join(folder, `${name}.terrarium`);
    await writeFile(path, bytes);
    await chooseOnHome(page, url, path);
    await page.getByRole('alert').filter({ hasText: reason }).first().waitFor(SOON);
    expect(await content(page), name).toEqual(before);
  }
});

test('a folder is filled by itself, is known after a restart of the page, and gives projects back', async () => {
  await settings(first);
  const { page } = first;
  await page.getByRole('button', { name: 'Choose a folder' }).click();
  await page.getByText('Everything is backed up.').waitFor(SOON);
  await page.getByText(/Last backup/).waitFor(SOON);
  await settings(first);
  await page.getByText('Into the folder “Backups”').waitFor(SOON);
  expect(await axeFindings(page)).toEqual([]);
  await page.getByRole('button', { name: 'Restore from a folder' }).click();
  const dialog = page.getByRole('dialog');
  await dialog
    .getByRole('button', { name: /^Open / })
    .first()
    .waitFor(SOON);
  expect(await axeFindings(page)).toEqual([]);
  await dialog
    .getByRole('button', { name: /^Open / })
    .first()
    .click();
  await page.waitForURL(/\/data$/, SOON);
  const projects = (await rowsOf(page, 'core', 'projects')) ?? [];
  expect(projects.map(({ name }) => name)).toHaveLength(2);
  expect(new Set(projects.map(({ id }) => id)).size).toBe(2);
  await everyByteHolds(first.page, first.url);
});

test('a browser that cannot pick folders is reminded by a line, and saves by an ordinary download', async () => {
  const other = await openStudio({ context: CONTEXT, initScript: NO_PICKERS });
  const { page, url } = other;
  try {
    // A run of the fixture is decades old.
    await chooseOnHome(page, url, 'tests/fixtures/project-files/format-1.terrarium');
    await page.waitForURL(/\/data$/, SOON);
    await page.goto(`${url}#/`);
    const line = page.getByText(/Not backed up since .*: 1 run and 2 models are only here/);
    await line.waitFor(SOON);
    expect(await axeFindings(page)).toEqual([]);
    await saveEverything(other);
    await page.goto(`${url}#/`);
    await page.getByRole('heading', { name: 'Your projects' }).waitFor(SOON);
    await line.waitFor({ state: 'detached', ...SOON });
  } finally {
    await other.close();
  }
});
