/** The storage of the built studio under attack: killed in the middle, full, newer, damaged, deleted. */
import type { Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { PhiloxStream } from '../../src/core/philox';
import { ensureBuilt } from '../../tools/lib/setup.mjs';
import { startServer } from '../../tools/lib/server.mjs';
import { amiss } from '../support/looks';
import { newProfile, removeProfile, startBrowser } from '../support/own-browser';
import type { OwnBrowser } from '../support/own-browser';
import { rounds, seed } from '../support/rounds';
import { chunksReach, dump, numbersFile, rowsOf } from '../support/stored';

const SOON = { timeout: 60_000 };
let server: Awaited<ReturnType<typeof startServer>>;
let profile: string;
let own: OwnBrowser;
let small: Awaited<ReturnType<typeof numbersFile>>;
let large: Awaited<ReturnType<typeof numbersFile>>;

beforeAll(async () => {
  ensureBuilt();
  server = await startServer();
  profile = await newProfile();
  small = await numbersFile('small.csv', 300, 4);
  large = await numbersFile('clinic.csv', 60_000, 24);
  own = await startBrowser(profile);
}, 180_000);

afterAll(async () => {
  await own.close();
  await server.close();
  for (const file of [small, large]) await file.remove();
  await removeProfile(profile);
});

async function home(page: Page = own.page): Promise<Page> {
  await page.goto('about:blank');
  await page.goto(`${server.url}#/`);
  await page.getByRole('heading', { name: 'Your projects' }).waitFor(SOON);
  return page;
}

async function choose(page: Page, file: { readonly path: string }): Promise<void> {
  // The whole file is sent to a browser that was spawned here, which takes its time.
  const input = page.locator('section.own input[type=file]');
  await input.setInputFiles(file.path, { timeout: 120_000 });
}

/** Resolves with the project's id: from then on the import counts as acknowledged. */
async function acknowledged(page: Page): Promise<string> {
  await page.waitForURL(/#\/p\/[^/]+\/goal/, { timeout: 120_000 });
  return /#\/p\/([^/]+)\//.exec(page.url())?.[1] ?? '';
}

/** A page of the same origin without the studio. */
async function aside(): Promise<Page> {
  const page = await own.context.newPage();
  await page.goto(`${server.url}data/penguins.json`);
  return page;
}

/** By the studio's own check of every record and byte. */
async function problems(page: Page): Promise<readonly string[]> {
  await page.goto(`${server.url}#/storage`);
  await page.getByRole('button', { name: 'Check every byte' }).click(SOON);
  const healthy = page.getByText('every record and every byte is as it was written');
  const damaged = page.getByRole('alert').filter({ hasText: 'found:' });
  await healthy.or(damaged).waitFor({ timeout: 120_000 });
  return (await healthy.count()) > 0 ? [] : damaged.locator('li').allTextContents();
}

const KILLS = rounds(2, 20);

describe('a browser killed in the middle of an import', () => {
  test(`${KILLS} times on one profile: what was acknowledged stays, the import is offered again or given up`, async () => {
    const chance = new PhiloxStream(seed, 'kills');
    const kept: string[] = [];
    /** Chunks of whole data sets. */
    let whole = 0;
    await home();
    await choose(own.page, small);
    kept.push(await acknowledged(own.page));

    for (let round = 0; round < KILLS; round++) {
      const page = await home();
      const before = (await rowsOf(page, 'cache', 'chunkInfo'))?.length ?? 0;
      if ((await rowsOf(page, 'core', 'imports'))?.length === 0) whole = before;
      await choose(page, large);
      const reached = chunksReach(page, before + 1 + chance.below(20));
      await Promise.race([reached, acknowledged(page).then((id) => kept.push(id))]);
      await own.kill();
      own = await startBrowser(profile);

      const next = await home();
      const projects = (await rowsOf(next, 'core', 'projects')) ?? [];
      for (const id of kept) expect(projects.map((row) => row.id)).toContain(id);
      expect(await problems(next), `round ${round}`).toEqual([]);
      await home(next);
      const note = next.getByText('The import of clinic.csv was interrupted.');
      const datasets = (await rowsOf(next, 'core', 'datasets')) ?? [];
      const named = datasets.map((row) => (row.manifest as { name: string }).name);
      if (named.includes('clinic')) {
        expect(await note.count()).toBe(0);
        continue;
      }
      await note.waitFor(SOON);
      if (round % 2 === 0) {
        await next.getByRole('button', { name: 'Discard' }).click();
        await note.waitFor({ ...SOON, state: 'detached' });
        expect(await rowsOf(next, 'cache', 'chunkInfo')).toHaveLength(whole);
        expect(await rowsOf(next, 'core', 'imports')).toEqual([]);
      }
    }

    // In the end it comes through, whatever lies there already.
    const page = await home();
    await choose(page, large);
    kept.push(await acknowledged(page));
    expect(await rowsOf(page, 'core', 'imports')).toEqual([]);
    expect(await problems(page)).toEqual([]);
  }, 1_200_000);
});

test('a full disk on import: nothing of it stays, others are untouched, and the way to room is named', async () => {
  const other = await numbersFile('wide.csv', 70_000, 30);
  const start = await home();
  const before = [
    await rowsOf(start, 'core', 'projects'),
    await rowsOf(start, 'cache', 'chunkInfo'),
  ];
  // Chromium trusts what it once knew of the room for half a minute: a fresh one learns of the quota first.
  await own.close();
  own = await startBrowser(profile);
  const cdp = await own.context.newCDPSession(own.page);
  const origin = new URL(server.url).origin;
  const { usage } = await cdp.send('Storage.getUsageAndQuota', { origin });
  await cdp.send('Storage.overrideQuotaForOrigin', { origin, quotaSize: usage + 2 ** 20 });
  const page = await home();
  try {
    await choose(page, other);
    const error = page.getByRole('alert').filter({ hasText: 'No room left' });
    await error.waitFor({ timeout: 120_000 });
    expect(await error.textContent()).toMatch(/uses [\d.]+ MB of the [\d.]+ MB/);
    expect(await amiss(page, 'no room for an import')).toEqual([]);
    // What was written goes right after the message.
    await expect.poll(() => rowsOf(page, 'core', 'imports'), SOON).toEqual([]);
    await expect
      .poll(async () => (await rowsOf(page, 'cache', 'chunkInfo'))?.length, SOON)
      .toBe(before[1]?.length);
    expect(await rowsOf(page, 'core', 'projects')).toEqual(before[0]);
    await error.getByRole('link', { name: 'What is big, and what can go' }).click();
    await page.getByRole('heading', { name: 'What can go' }).waitFor(SOON);
    await page.getByText('clinic').first().waitFor(SOON);
    expect(await amiss(page, 'what can go')).toEqual([]);
  } finally {
    await cdp.send('Storage.overrideQuotaForOrigin', { origin });
    await other.remove();
  }
  expect(await problems(page)).toEqual([]);
}, 240_000);

test('garbage in one chunk: its data set is named with the chunk, others work, and the same file heals it', async () => {
  const page = await home();
  const datasets = (await rowsOf(page, 'core', 'datasets')) ?? [];
  const named = datasets.map((row) => row.manifest as { name: string; columns: Column[] });
  const chunk = named.find(({ name }) => name === 'small')?.columns[0]?.chunks[0];
  if (!chunk) throw new Error('The small table is not here.');
  const raw = await aside();
  await raw.evaluate(async ({ storageKey, bytes }) => {
    const database = await new Promise<IDBDatabase>((resolve) => {
      const request = indexedDB.open('terrarium-cache');
      request.onsuccess = () => resolve(request.result);
    });
    const rows = database.transaction('chunks', 'readwrite').objectStore('chunks');
    await new Promise((resolve) => {
      rows.put({ storageKey, bytes: new ArrayBuffer(bytes) }).onsuccess = resolve;
    });
    database.close();
  }, chunk);
  await raw.close();

  const prefix = chunk.sha256.slice(0, 12);
  expect(await problems(page)).toEqual([expect.stringMatching(`“small”.*${prefix}`)]);
  const projects = (await rowsOf(page, 'core', 'projects')) ?? [];
  const project = (name: string) => String(projects.find((row) => row.name === name)?.id);
  await page.goto(`${server.url}#/p/${project('small')}/data`);
  await page.getByText(`chunk ${prefix}`).first().waitFor(SOON);
  await page.goto(`${server.url}#/p/${project('clinic')}/data`);
  await page.getByText('c0', { exact: true }).first().waitFor(SOON);
  expect(await page.getByText('The stored data chunk').count()).toBe(0);

  await home();
  await choose(page, small);
  await acknowledged(page);
  expect(await problems(page)).toEqual([]);
}, 240_000);

interface Column {
  readonly chunks: readonly { sha256: string; storageKey: string; bytes: number }[];
}

test('a database deleted under the studio: told at once, nothing half-empty is made, and what is saved elsewhere comes back', async () => {
  const page = await home();
  await choose(page, small);
  await acknowledged(page);
  await home();
  await page.getByText('small').first().waitFor(SOON);
  const raw = await aside();
  await raw.evaluate(
    () =>
      new Promise((resolve) => {
        indexedDB.deleteDatabase('terrarium-core').onsuccess = resolve;
      }),
  );
  await page
    .getByRole('heading', { name: 'The storage was deleted under the studio' })
    .waitFor(SOON);
  expect(await amiss(page, 'damaged')).toEqual([]);
  expect(await rowsOf(raw, 'core', 'projects')).toBeNull();
  const bytes = await rowsOf(raw, 'cache', 'chunkInfo');
  await page.getByRole('button', { name: 'Try again' }).click();
  await page
    .getByRole('heading', { name: 'The browser has lost the list of your projects' })
    .waitFor(SOON);
  await page.getByText('it held').waitFor(SOON);
  expect(await amiss(page, 'lost')).toEqual([]);
  // What is left is kept until the person knows.
  expect(await rowsOf(raw, 'cache', 'chunkInfo')).toHaveLength(bytes?.length ?? 0);
  await page.getByRole('button', { name: 'Go on with an empty studio' }).click();
  await page.getByRole('heading', { name: 'Your projects' }).waitFor(SOON);
  await choose(page, small);
  await acknowledged(page);
  expect(await problems(page)).toEqual([]);
  await raw.close();
}, 240_000);

test('an older build on a newer schema reads everything and writes nothing', async () => {
  const raw = await aside();
  await own.page.goto('about:blank');
  await raw.evaluate(async () => {
    for (const part of ['core', 'cache']) {
      await new Promise<void>((resolve, reject) => {
        const request = indexedDB.open(`terrarium-${part}`, 1000);
        request.onupgradeneeded = () => request.result.createObjectStore('future');
        request.onsuccess = () => {
          request.result.close();
          resolve();
        };
        request.onerror = () => reject(request.error ?? new Error('It is not raised.'));
      });
    }
  });
  const before = await dump(raw);
  const page = await home();
  await page.getByText('written by a newer version').waitFor(SOON);
  await page.getByText('small').first().waitFor(SOON);
  await choose(page, small);
  await page.getByRole('alert').filter({ hasText: 'newer Terrarium' }).waitFor(SOON);
  expect(await amiss(page, 'newer')).toEqual([]);
  await page.goto('about:blank');
  expect(await dump(raw)).toBe(before);
  await raw.close();
}, 240_000);
