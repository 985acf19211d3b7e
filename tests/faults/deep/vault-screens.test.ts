/**
 * Everything that a person does with locks, each once through the screens of the built studio: put on, shut, opened with
 * either key, changed, taken off, erased; and what a damaged record looks like.
 */
import type { Page } from 'playwright-core';
import { afterAll, beforeAll, expect, test } from 'vitest';
import {
  PASSPHRASE,
  change,
  fillLock,
  keepRecoveryKey,
  lockNow,
  makeLock,
  openPanel,
  unlock,
  unlockByKey,
} from '../../support/locked';
import { amiss } from '../../support/looks';
import { openStudio } from '../../support/studio';
import type { Opened } from '../../support/studio';
import { dump, rowsOf } from '../../support/stored';

const SOON = { timeout: 60_000 };
const NEW = 'eight loud otters sing';

/** Of two classes; the word is in names and cells. */
const TABLE = [
  'OpencanarySize,width,OpencanaryKind',
  ...Array.from({ length: 60 }, (_, row) => {
    const a = (row % 20) / 5;
    return `${a},${(row * 7) % 11},${a > 2 ? 'OpencanaryYes' : 'OpencanaryNo'}`;
  }),
].join('\n');

let studio: Opened;
let page: Page;
let project = '';
let recoveryKey = '';

beforeAll(async () => {
  studio = await openStudio({ path: '#/' });
  ({ page } = studio);
});

afterAll(async () => {
  await studio.close();
});

async function looked(name: string): Promise<void> {
  expect(await amiss(page, name)).toEqual([]);
}

const button = (name: string) => page.getByRole('button', { name, exact: true });
const heading = (name: string) => page.getByRole('heading', { name, exact: true });

test('a lock on a project that is there: what it warns of, and nothing of it lies open afterwards', async () => {
  await page.locator('section.own input[type=file]').setInputFiles({
    name: 'wards.csv',
    mimeType: 'text/csv',
    buffer: Buffer.from(TABLE),
  });
  await page.waitForURL(/#\/p\/[^/]+\/goal/, SOON);
  project = page.url().replace(/\/\w+$/, '');
  expect(await dump(page)).toContain('Opencanary');
  await button('Lock with a passphrase').click(SOON);
  await page.getByText('may still hold remnants of it').waitFor(SOON);
  await looked('new-lock');
  recoveryKey = await fillLock(page);
  expect(recoveryKey).toMatch(/^(\w{4}-){8}\w{4}$/);
  await button('Lock').waitFor(SOON);
  expect(await rowsOf(page, 'core', 'projects')).toEqual([]);
  await expect.poll(async () => (await dump(page)).includes('Opencanary'), SOON).toBe(false);
  await lockNow(page);
  await looked('door');
  await unlock(page);
  await page.getByText('Opencanary').first().waitFor(SOON);
});

test('the recovery key opens the door, and sets a new passphrase on the way', async () => {
  await lockNow(page);
  await unlockByKey(page, 'ABCD-EFGH');
  await page.getByText('This is not a whole recovery key').waitFor(SOON);
  await looked('door-recovery');
  await page.getByLabel('Recovery key').fill(recoveryKey.toLowerCase().replaceAll('-', ' '));
  await page.getByLabel('New passphrase', { exact: true }).fill(NEW);
  await button('Unlock').click();
  await page.getByText('Opencanary').first().waitFor(SOON);
  await lockNow(page);
  await unlock(page, PASSPHRASE);
  await page.getByText('This passphrase does not open the project.').waitFor(SOON);
  await page.getByLabel('Passphrase', { exact: true }).fill(NEW);
  await button('Unlock').click();
  await page.getByText('Opencanary').first().waitFor(SOON);
});

test('another passphrase and another recovery key: the former ones open nothing', async () => {
  await change(page, 'Change the passphrase', 'not the one', PASSPHRASE);
  await page.getByText('This passphrase does not open the project.').waitFor(SOON);
  await looked('panel-change');
  await page.getByLabel('Passphrase now', { exact: true }).fill(NEW);
  await button('Go on').click();
  await page.getByText('The passphrase is changed.').waitFor(SOON);
  await page.keyboard.press('Escape');
  const former = recoveryKey;
  await change(page, 'New recovery key');
  await heading('Your recovery key').waitFor(SOON);
  await page.keyboard.press('Escape');
  await page.getByText('It is never shown again.').waitFor(SOON);
  await looked('recovery-key');
  recoveryKey = await keepRecoveryKey(page);
  await page.keyboard.press('Escape');
  await lockNow(page);
  await unlock(page, NEW);
  await page.getByText('This passphrase does not open the project.').waitFor(SOON);
  await unlockByKey(page, former);
  await page.getByText('not the one of this project, or a newer one was made').waitFor(SOON);
  await page.getByLabel('Recovery key').fill(recoveryKey);
  await button('Unlock').click();
  await page.getByText('Opencanary').first().waitFor(SOON);
});

test('a damaged record: named above every screen, the rest works, the lock stays on, a file holds what reads', async () => {
  await lockNow(page);
  const key = await flip();
  await unlock(page);
  const note = page.getByRole('region', { name: 'Damaged records of this locked project' });
  await note.getByText(key.slice(0, 12)).waitFor(SOON);
  await looked('damaged');
  await page.getByText('The record of this project’s data is damaged').waitFor(SOON);
  for (const stage of ['data', 'goal', 'model', 'train', 'versions']) {
    await page.goto(`${project}/${stage}`);
    await page.locator('main h1').first().waitFor(SOON);
    expect(await page.getByText('This page does not exist').count(), stage).toBe(0);
    await note.waitFor(SOON);
  }
  await looked('damaged-screen');
  await change(page, 'Remove the lock');
  await page.getByText(/The lock stays, because the record of/).waitFor(SOON);
  await page.keyboard.press('Escape');
  await note.getByRole('button', { name: 'Save what reads as a file' }).click();
  await button('Save it readable').click(SOON);
  await page.getByRole('dialog').getByText(key.slice(0, 12)).waitFor(SOON);
  await looked('damaged-file');
  await page.keyboard.press('Escape');
  await lockNow(page);
  await flip();
  await unlock(page);
  await page.goto(`${project}/goal`);
  await page.getByText('Opencanary').first().waitFor(SOON);
  expect(await note.count()).toBe(0);
});

/** Flips a bit of the longest sealed record, and flips it back. Returns its name. */
function flip(): Promise<string> {
  return page.evaluate(async () => {
    const database = await new Promise<IDBDatabase>((resolve) => {
      const request = indexedDB.open('terrarium-core');
      request.onsuccess = () => resolve(request.result);
    });
    const store = database.transaction('sealed', 'readwrite').objectStore('sealed');
    const rows = await new Promise<{ key: string; bytes: ArrayBuffer }[]>((resolve) => {
      const request = store.getAll();
      request.onsuccess = () => resolve(request.result as never);
    });
    const [longest] = rows.sort((a, b) => b.bytes.byteLength - a.bytes.byteLength);
    if (!longest) throw new Error('Nothing is sealed.');
    const bytes = new Uint8Array(longest.bytes.slice(0));
    bytes[40] = (bytes[40] ?? 0) ^ 4;
    await new Promise((resolve) => {
      store.put({ ...longest, bytes: bytes.buffer }).onsuccess = resolve;
    });
    database.close();
    return longest.key;
  });
}

test('taken off: the project lies in the open again, and says so before', async () => {
  await openPanel(page);
  await button('Remove the lock').click();
  await page.getByText('Everything is stored in the open again').waitFor(SOON);
  await looked('panel-remove');
  await page.getByLabel('Passphrase now', { exact: true }).fill(PASSPHRASE);
  await button('Go on').click();
  await page.getByText('The lock is removed.').waitFor(SOON);
  await button('Lock with a passphrase').waitFor(SOON);
  expect(await rowsOf(page, 'core', 'sealed')).toEqual([]);
  expect(await dump(page)).toContain('Opencanary');
  await page.reload();
  await page.getByText('Opencanary').first().waitFor(SOON);
});

test('erased without its passphrase: nothing of it stays', async () => {
  await makeLock(page, studio.url);
  await page.reload();
  await page.getByRole('link', { name: 'Unlock Locked project' }).waitFor(SOON);
  await looked('home');
  await button('Erase').click();
  await heading('Erase “Locked project” for good?').waitFor(SOON);
  await looked('erase');
  await page.getByRole('dialog').getByRole('button', { name: 'Erase' }).click();
  await page.getByText('“Locked project” is erased.').waitFor(SOON);
  expect(await rowsOf(page, 'core', 'vaults')).toEqual([]);
  expect(await rowsOf(page, 'core', 'sealed')).toEqual([]);
  expect(studio.complaints.filter((line) => /Content Security Policy/.test(line))).toEqual([]);
});
