/**
 * The browser's own files of the storage: copied in the middle of a write as a power cut would leave them, and flipped,
 * deleted or cut in half while the browser is away. Whatever was saved is there, or its loss is told.
 */
import { cp, open, readdir, readFile, rm, stat, truncate } from 'node:fs/promises';
import { join } from 'node:path';
import type { Locator, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { PhiloxStream } from '../../../src/core/philox';
import { ensureBuilt } from '../../../tools/lib/setup.mjs';
import { startServer } from '../../../tools/lib/server.mjs';
import { newProfile, removeProfile, startBrowser } from '../../support/own-browser';
import type { OwnBrowser } from '../../support/own-browser';
import { rounds, seed } from '../../support/rounds';
import { numbersFile, rowsOf } from '../../support/stored';

const SOON = { timeout: 120_000 };
let server: Awaited<ReturnType<typeof startServer>>;
let clinic: Awaited<ReturnType<typeof numbersFile>>;
/** So many columns that its description is a file of the browser's. */
let wide: Awaited<ReturnType<typeof numbersFile>>;
/** Two projects, in a browser that was closed. */
let source: string;
const profiles: string[] = [];
const saved: string[] = [];

beforeAll(async () => {
  ensureBuilt();
  server = await startServer();
  clinic = await numbersFile('clinic.csv', 20_000, 6);
  wide = await numbersFile('wide.csv', 40, 1_500);
  source = await profileOf();
  const own = await startBrowser(source);
  saved.push(await importTable(own.page, clinic.path), await importTable(own.page, wide.path));
  // The note beside the databases comes a moment after what it is about.
  await vi.waitFor(async () => expect(await noted(own.page)).toContain('"projects":2'), SOON);
  await own.close();
}, 400_000);

afterAll(async () => {
  await server.close();
  for (const file of [clinic, wide]) await file.remove();
  for (const profile of profiles) await removeProfile(profile);
});

function noted(page: Page): Promise<string> {
  return page.evaluate(async () => {
    const root = await navigator.storage.getDirectory();
    const note = await root.getFileHandle('terrarium.mark');
    return (await note.getFile()).text();
  });
}

async function profileOf(copied?: string): Promise<string> {
  const profile = await newProfile();
  profiles.push(profile);
  if (copied === undefined) return profile;
  await rm(profile, { recursive: true });
  // What the browser removes meanwhile is not copied; a disk that lost power would not have it either.
  await cp(copied, profile, { recursive: true, preserveTimestamps: true, filter: isThere });
  // The first browser's own marks; a computer that lost power has none of its processes either.
  for (const mark of ['SingletonLock', 'SingletonCookie', 'SingletonSocket']) {
    await rm(join(profile, mark), { force: true });
  }
  return profile;
}

async function isThere(path: string): Promise<boolean> {
  // Sockets and the caches of code and pictures are nobody's work.
  if (/Singleton|Cache$|Crashpad/.test(path)) return false;
  return stat(path).then(
    () => true,
    () => false,
  );
}

async function importTable(page: Page, path: string): Promise<string> {
  await page.goto('about:blank');
  await page.goto(`${server.url}#/`);
  await page.locator('section.own input[type=file]').setInputFiles(path);
  await page.waitForURL(/#\/p\/[^/]+\/goal/, SOON);
  return /#\/p\/([^/]+)\//.exec(page.url())?.[1] ?? '';
}

const rescue = (page: Page) => page.getByText('What is safe', { exact: true });

/** Home with every project, or a screen that says what was lost. Never nothing, and never silence. */
async function arrives(page: Page, known: readonly string[]): Promise<'home' | 'told'> {
  await page.goto(`${server.url}#/`);
  const tile = page.getByRole('link', { name: /^Open (clinic|wide)$/ });
  const home = tile.or(page.getByText('What you make appears here')).first();
  await home.or(rescue(page)).first().waitFor(SOON);
  // Past the studio; it does not open where the storage does not.
  const rows = await rowsOf(page, 'core', 'projects').catch(() => null);
  const there = (rows ?? []).map((row) => row.id);
  if (known.every((id) => there.includes(id))) return 'home';
  await rescue(page).waitFor(SOON);
  return 'told';
}

/** By the studio's own check; `told` where it meets something that takes the storage away. */
async function problems(page: Page): Promise<readonly string[] | 'told'> {
  await page.goto(`${server.url}#/storage`);
  // The screen reads as well, and may meet it first.
  const check = page.getByRole('button', { name: 'Check every byte', disabled: false });
  await check.or(rescue(page)).first().waitFor(SOON);
  if ((await rescue(page).count()) > 0) return 'told';
  await check.click(SOON);
  const healthy = page.getByText('every record and every byte is as it was written');
  const damaged = page.getByRole('alert');
  await healthy.or(damaged).or(rescue(page)).first().waitFor(SOON);
  if ((await rescue(page).count()) > 0) return 'told';
  if ((await healthy.count()) > 0) return [];
  const lines = await damaged.locator('li').allTextContents();
  return lines.length > 0 ? lines : 'told';
}

/** The dialog, once it says what is in the file. */
async function saveEverything(page: Page): Promise<Locator> {
  await page.goto(`${server.url}#/settings`);
  await page.getByRole('button', { name: 'Save everything as a file' }).click(SOON);
  const dialog = page.getByRole('dialog');
  await dialog.getByRole('button', { name: 'Download' }).click(SOON);
  return dialog;
}

async function onCopy<T>(copied: string, work: (own: OwnBrowser) => Promise<T>): Promise<T> {
  const own = await startBrowser(copied);
  try {
    return await work(own);
  } finally {
    await own.close();
  }
}

test('a profile copied while the browser writes opens with all that was saved, or says what was lost', async () => {
  const profile = await profileOf(source);
  const own = await startBrowser(profile);
  const known = [...saved];
  for (let round = 0; round < rounds(2, 6); round++) {
    const before = [...known];
    const writing = importTable(own.page, round % 2 === 0 ? wide.path : clinic.path);
    const copy = await profileOf(profile);
    known.push(await writing);
    await onCopy(copy, async ({ page }) => {
      const found = (await arrives(page, before)) === 'told' ? 'told' : await problems(page);
      // Bytes that a power cut left unwritten may only be those of the import that nobody had been told of.
      if (found !== 'told') expect(found).toEqual([]);
    });
  }
  await own.close();
}, 900_000);

describe('files of the storage while the browser is away', () => {
  test.each(['flipped', 'deleted', 'cut'] as const)(
    '%s: everything is there, or what is not is told',
    async (how) => {
      const chance = new PhiloxStream(seed, how);
      for (let round = 0; round < rounds(3, 12); round++) {
        const profile = await profileOf(source);
        const victim = await anyFile(profile, chance);
        await damage(victim, how, chance);
        await onCopy(profile, async ({ page }) => {
          if ((await arrives(page, saved)) === 'told') return;
          const found = await problems(page);
          if (found === 'told') return;
          for (const line of found) expect(line, victim).toMatch(/chunk|cannot be read|match/);
        });
      }
    },
    900_000,
  );

  test('the last things that were written are cut off: it is said that something is missing', async () => {
    const profile = await profileOf(source);
    const log = (await files(profile)).find((path) => path.endsWith('.log'));
    if (log === undefined) throw new Error('The database has no log.');
    // From the first word of the second project on; keys are UTF-16, values of plain letters one byte each.
    const bytes = await readFile(log);
    const second = saved[1] ?? '';
    const written = [Buffer.from(second, 'utf16le').swap16(), Buffer.from(second, 'latin1')]
      .map((id) => bytes.indexOf(id))
      .filter((at) => at >= 0);
    if (written.length === 0) throw new Error('The log does not hold the second project.');
    await truncate(log, Math.min(...written));
    await onCopy(profile, async ({ page }) => {
      await page.goto(`${server.url}#/`);
      await page
        .getByRole('heading', { name: 'The browser has lost what was saved last' })
        .waitFor(SOON);
      await page.getByText('it held 2 projects').waitFor(SOON);
      // It is said until it is known.
      await page.reload();
      await page.getByRole('button', { name: 'Go on with what is left' }).click(SOON);
      await page.getByRole('heading', { name: 'Your projects' }).waitFor(SOON);
      await page.reload();
      await page.getByRole('heading', { name: 'Your projects' }).waitFor(SOON);
      expect(await rescue(page).count()).toBe(0);
    });
  }, 300_000);

  test('one record is gone: it is named, the others work and are saved, and the same file heals it', async () => {
    const profile = await profileOf(source);
    const records = (await files(profile)).filter((path) => /\.blob\/1\//.test(path));
    expect(records).toHaveLength(1);
    await rm(records[0] ?? '');
    await onCopy(profile, async ({ page }) => {
      expect(await arrives(page, saved)).toBe('home');
      const toast = page.getByText(/The record of the dataset .* cannot be read/);
      await toast.first().waitFor(SOON);
      expect(await problems(page)).toEqual([expect.stringMatching(/dataset .* cannot be read/)]);
      const bytes = (await rowsOf(page, 'cache', 'chunkInfo'))?.length;
      await page.goto(`${server.url}#/p/${saved[0]}/data`);
      await page.getByText('c0', { exact: true }).first().waitFor(SOON);
      const dialog = await saveEverything(page);
      await dialog.getByText(/^the dataset .*: its record cannot be read/).waitFor(SOON);
      await page.keyboard.press('Escape');
      // Nothing that it may name was collected.
      expect((await rowsOf(page, 'cache', 'chunkInfo'))?.length).toBe(bytes);
      await importTable(page, wide.path);
      expect(await problems(page)).toEqual([]);
    });
  }, 400_000);
});

async function files(profile: string): Promise<readonly string[]> {
  const root = join(profile, 'Default', 'IndexedDB');
  const all = await readdir(root, { recursive: true, withFileTypes: true });
  return all
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))
    .filter((path) => !/LOCK$|LOG(\.old)?$/.test(path))
    .toSorted();
}

/** Tables and logs of the database half of the time: there are more pieces of data than of them. */
async function anyFile(profile: string, chance: PhiloxStream): Promise<string> {
  const all = await files(profile);
  const inner = all.filter((path) => path.includes('.leveldb'));
  const some = chance.below(2) === 0 ? inner : all;
  const one = some[chance.below(some.length)];
  if (one === undefined) throw new Error('The profile has no database.');
  return one;
}

async function damage(
  path: string,
  how: 'flipped' | 'deleted' | 'cut',
  chance: PhiloxStream,
): Promise<void> {
  if (how === 'deleted') {
    await rm(path);
    return;
  }
  const handle = await open(path, 'r+');
  const { size } = await handle.stat();
  if (how === 'cut') await handle.truncate(Math.floor(size / 2));
  else {
    for (let flips = 0; flips < 16 && size > 0; flips++) {
      const at = chance.below(size);
      const { buffer } = await handle.read(new Uint8Array(1), 0, 1, at);
      await handle.write(Uint8Array.of((buffer[0] ?? 0) ^ 0xff), 0, 1, at);
    }
  }
  await handle.close();
}
