/**
 * A locked project whose run or import is broken off, on the built studio: the same model as one left in peace, the
 * import offered again, and no word of any of it on the disk.
 */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { startServer } from '../../../tools/lib/server.mjs';
import { ensureBuilt } from '../../../tools/lib/setup.mjs';
import { taught, until } from '../../support/drilled';
import { PASSPHRASE, change, lockNow, makeLock, openPanel, unlock } from '../../support/locked';
import { newProfile, removeProfile, startBrowser } from '../../support/own-browser';
import type { OwnBrowser } from '../../support/own-browser';
import { searchProfile } from '../../support/profile-search';
import { chunksReach, numbersFile, rowsOf } from '../../support/stored';
import { interruptedAt, stepShown } from '../../support/train-screen';

const SOON = { timeout: 60_000 };
const LONG = { timeout: 600_000 };
const SECRET = 'Xylocanary';

let server: Awaited<ReturnType<typeof startServer>>;
let folder: string;
let table: string;
let profile: string;
let own: OwnBrowser;

beforeAll(async () => {
  ensureBuilt();
  server = await startServer();
  folder = await mkdtemp(join(tmpdir(), 'terrarium-vault-'));
  table = join(folder, `${SECRET}.csv`);
  const rows = Array.from({ length: 160 }, (_, row) => {
    const [a, b] = [(row % 40) / 10, ((row * 7) % 30) / 10];
    return `${a},${b},${a + b > 3.2 ? `${SECRET}Yes` : `${SECRET}No`}`;
  });
  await writeFile(table, [`${SECRET}Size,width,${SECRET}Kind`, ...rows].join('\n'));
});

afterAll(async () => {
  await server.close();
  await rm(folder, { recursive: true, force: true });
});

beforeEach(async () => {
  profile = await newProfile();
  own = await startBrowser(profile);
});

afterEach(async () => {
  await own.kill();
  await removeProfile(profile);
});

async function again(): Promise<Page> {
  own = await startBrowser(profile);
  return own.page;
}

async function searched(): Promise<void> {
  await own.close();
  expect(await searchProfile(profile, [SECRET, PASSPHRASE])).toEqual([]);
}

/** A locked project of the table, on Train, where a run of so many epochs begins on the processor. */
async function training(page: Page, epochs = '3000'): Promise<string> {
  await makeLock(page, server.url);
  await page.locator('section.own input[type=file]').setInputFiles(table);
  await page.waitForURL(/#\/p\/[^/]+\/goal/, LONG);
  const address = page.url().replace(/\/\w+$/, '/train');
  await page.goto(address);
  await page.getByRole('button', { name: 'Change for the next run' }).click(SOON);
  const settings = page.getByRole('dialog');
  for (const [label, value] of [
    ['Epochs', epochs],
    ['Early stop', '0'],
  ] as const) {
    const field = settings.getByLabel(label, { exact: false }).first();
    await field.fill(value);
    await field.press('Tab');
  }
  await settings.getByLabel('Device').selectOption('wasm');
  await page.getByRole('button', { name: 'Done' }).click();
  await page.getByRole('button', { name: 'Train', exact: true }).first().click(SOON);
  return address;
}

async function beyond(page: Page, step: number): Promise<void> {
  await expect.poll(() => stepShown(page), LONG).toBeGreaterThan(step);
}

/** Waits for the end, takes the lock off by its screen, and looks at the model in the open. */
async function modelOf(page: Page): Promise<{ readonly sha256: string; readonly steps: string }> {
  await change(page, 'Remove the lock');
  await page.getByText('The lock is removed.').waitFor(SOON);
  const { run, model } = await until('the model', async () => {
    const found = await taught(page);
    return found?.model ? found : null;
  });
  expect(run).toMatchObject({ status: 'done', stepsDone: run.stepsTotal });
  const points = run.curve.map(({ series, step }) => `${series} ${step}`);
  expect(new Set(points).size).toBe(points.length);
  return { sha256: model?.file.sha256 ?? '', steps: points.join() };
}

const ended = (page: Page) =>
  page
    .getByText(/Right on \d+ of/)
    .first()
    .waitFor(LONG);

describe('a run of a locked project', () => {
  let peaceful: Awaited<ReturnType<typeof modelOf>>;

  test('left in peace', async () => {
    await training(own.page);
    await ended(own.page);
    peaceful = await modelOf(own.page);
  });

  test('locked by hand in the middle, then killed in the middle: resumed twice, the same model, no word on the disk', async () => {
    let { page } = own;
    const address = await training(page);
    await beyond(page, 0);
    await lockNow(page);
    expect(await page.content()).not.toContain(SECRET);
    await unlock(page);
    await page.getByText('A run was going on when it was locked').waitFor(SOON);
    const kept = await interruptedAt(page);
    expect(kept).toBeGreaterThan(0);
    await page.getByRole('button', { name: 'Resume it' }).click();
    // A good second, so that a later checkpoint is there.
    await beyond(page, kept + 4000);
    await own.kill();

    page = await again();
    await page.goto(address);
    await unlock(page);
    const later = await interruptedAt(page);
    expect(later).toBeGreaterThanOrEqual(kept);
    await page.getByRole('button', { name: 'Resume it' }).click();
    await ended(page);
    await searched();

    page = await again();
    await page.goto(address);
    await unlock(page);
    await ended(page);
    expect(await modelOf(page)).toEqual(peaceful);
  });
});

test('a lock that would shut after a minute waits for the end of the run', async () => {
  const { page } = own;
  const address = await training(page, '10000');
  await openPanel(page);
  await page.getByLabel('Locks by itself after').selectOption('1');
  await page.keyboard.press('Escape');
  await beyond(page, 0);
  // Where no curve is drawn the page has time to look at its clock.
  await page.goto(address.replace(/train$/, 'versions'));
  const door = page.getByRole('heading', { name: 'Locked project', level: 1 });
  const shut = await door.waitFor({ timeout: 75_000 }).then(
    () => true,
    () => false,
  );
  // On a slow machine it trains still; on a fast one it had come to its end before.
  if (!shut) {
    expect(await page.locator('nav').first().innerText()).toMatch(/Train\s+\d+%/);
    return;
  }
  await unlock(page);
  await page.goto(address);
  await ended(page);
});

test('an import into a locked project whose browser is killed: nothing of it can be read, it is offered after unlocking, and comes through', async () => {
  const file = await numbersFile(`${SECRET}-clinic.csv`, 60_000, 24);
  let { page } = own;
  try {
    await makeLock(page, server.url);
    await page.locator('section.own input[type=file]').setInputFiles(file.path);
    await chunksReach(page, 9);
    await own.kill();
    expect(await searchProfile(profile, [SECRET, PASSPHRASE])).toEqual([]);

    page = await again();
    await page.goto(`${server.url}#/`);
    await page.getByRole('link', { name: 'Unlock Locked project' }).waitFor(SOON);
    expect(await page.getByText('was interrupted').count()).toBe(0);
    const before = await rowsOf(page, 'cache', 'chunkInfo');
    expect(before?.length).toBeGreaterThan(8);
    await page.getByRole('link', { name: 'Unlock Locked project' }).click();
    await unlock(page);
    const note = page.getByText(`The import of ${SECRET}-clinic.csv was interrupted.`);
    await note.waitFor(SOON);
    expect(await page.getByText(/ of it are here already/).count()).toBe(1);
    const choosing = page.waitForEvent('filechooser');
    await page.getByRole('button', { name: 'Import it again' }).click();
    await (await choosing).setFiles(file.path);
    await page.waitForURL(/#\/p\/[^/]+\/goal/, LONG);
    // In the lock, not beside it.
    expect(await rowsOf(page, 'core', 'datasets')).toEqual([]);
    expect(await rowsOf(page, 'core', 'imports')).toEqual([]);
    await page.goto(`${server.url}#/storage`);
    await page.getByRole('button', { name: 'Check every byte' }).click(SOON);
    await page.getByText('every record and every byte is as it was written').waitFor(LONG);
    await page.goto(`${server.url}#/`);
    await page.getByText(`${SECRET}-clinic`).first().waitFor(SOON);
    expect(await note.count()).toBe(0);
    await searched();
  } finally {
    await file.remove();
  }
});
