/**
 * States that are seldom seen, and then by somebody who is worried: interrupted and paused runs, a project in two tabs,
 * locks, backups, a drill, a storage that is gone. Each has to stand what the ordinary screens stand.
 */
import type { Page } from 'playwright-core';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { amiss } from '../support/looks';
import type { Opened } from '../support/studio';
import { openStudio } from '../support/studio';
import { trainUntilStopped } from '../support/train-screen';

const SOON = { timeout: 60_000 };

let studio: Opened;
let page: Page;
let project: string;

beforeAll(async () => {
  studio = await openStudio({ path: '#/new/penguins', context: { serviceWorkers: 'block' } });
  page = studio.page;
  await page.getByText(/Right on \d+ of \d+ penguins/).waitFor({ timeout: 120_000 });
  project = page.url().replace(/\/train$/, '');
}, 180_000);

afterAll(() => studio.close());

const button = (name: string | RegExp) => page.getByRole('button', { name }).first();

/** A dialog on the whole page: checked, and put away again. */
async function dialogStands(state: string): Promise<string[]> {
  await page.getByRole('dialog').waitFor(SOON);
  const found = await amiss(page, state);
  await page.keyboard.press('Escape');
  await page.getByRole('dialog').waitFor({ state: 'detached' });
  return found;
}

it('a run that is paused, interrupted, and resumed', async () => {
  await trainUntilStopped(page);
  await page.getByText(/steps\s*[\d,]+ of/).waitFor(SOON);
  await button('Pause').click();
  await button('Resume').waitFor(SOON);
  const found = await amiss(page, 'paused');
  await page.reload();
  await button('Resume it').waitFor(SOON);
  found.push(...(await amiss(page, 'interrupted')));
  await button('Resume it').click();
  await button('Stop and keep best').click(SOON);
  await page.getByText(/Went on from its checkpoint/).waitFor(SOON);
  found.push(...(await amiss(page, 'resumed')));
  expect(found).toEqual([]);
});

it('a project in two tabs: the one that looks on, and the one that it was taken from', async () => {
  const other = await studio.context.newPage();
  await other.goto(`${project}/goal`);
  const take = other.getByRole('button', { name: 'Take over here' });
  await take.waitFor(SOON);
  const found = await amiss(other, 'looking on');
  await take.click();
  await button('Take it back').waitFor(SOON);
  found.push(...(await amiss(page, 'moved')));
  await other.close();
  await button('Edit here').click(SOON);
  expect(found).toEqual([]);
});

it('the storage screen, checked, and the dialogs of backups', async () => {
  await page.goto(`${studio.url}#/storage`);
  await page.getByText(/used; the browser allows/).waitFor(SOON);
  await button('Check every byte').click();
  await page.getByText(/^Checked: /).waitFor(SOON);
  const found = await amiss(page, 'storage');
  await page.goto(`${studio.url}#/settings`);
  await button('Save everything as a file').click(SOON);
  await page.getByText('In the file').waitFor(SOON);
  found.push(...(await dialogStands('saving everything')));
  expect(found).toEqual([]);
});

it('locks: a new one, its recovery key, its dialog, and the closed door', async () => {
  await page.goto(`${project}/goal`);
  await button('Lock with a passphrase').click(SOON);
  await page.getByRole('dialog').waitFor(SOON);
  const found = await amiss(page, 'new lock');
  const phrase = 'seven quiet herons over cold water';
  await page.getByLabel('Passphrase', { exact: true }).fill(phrase);
  await page.getByLabel('The same once more').fill(phrase);
  await button('Make the lock').click();
  await page.getByText('Your recovery key').first().waitFor(SOON);
  found.push(...(await amiss(page, 'recovery key')));
  await page.getByRole('switch', { name: 'I have kept it' }).click();
  await button('Continue').click();
  await page.getByRole('dialog').waitFor({ state: 'detached' });
  await page.getByRole('button', { name: 'Lock', exact: true }).click();
  found.push(...(await dialogStands('lock')));
  await page.goto('about:blank');
  await page.goto(`${project}/goal`);
  await button('Unlock').waitFor(SOON);
  found.push(...(await amiss(page, 'closed door')));
  expect(found).toEqual([]);
});

it('the drill page, before and after', async () => {
  await page.goto(`${studio.url}#/drill`);
  await button('Start a run to break').waitFor(SOON);
  const found = await amiss(page, 'drill, nothing yet');
  await button('Start a run to break').click();
  await page.getByText(/^Training began on/).waitFor(SOON);
  await button('Kill the training worker').click(SOON);
  await page.getByText(/^You killed the training worker/).waitFor(SOON);
  await button('Stop and compare').click(SOON);
  await page.getByText(/Weights equal/).waitFor({ timeout: 120_000 });
  found.push(...(await amiss(page, 'drill, done')));
  expect(found).toEqual([]);
});

it('a storage that was deleted under the studio, and what is left of it', async () => {
  const aside = await studio.context.newPage();
  await page.goto(`${studio.url}#/`);
  await page.getByRole('heading', { name: 'Your projects' }).waitFor(SOON);
  await aside.goto(`${studio.url}data/penguins.json`);
  await aside.evaluate(
    () =>
      new Promise((resolve) => {
        indexedDB.deleteDatabase('terrarium-core').onsuccess = resolve;
      }),
  );
  await page.getByRole('heading', { name: /was deleted under the studio/ }).waitFor(SOON);
  const found = await amiss(page, 'deleted');
  await button('Try again').click();
  await page.getByRole('heading', { name: /has lost the list of your projects/ }).waitFor(SOON);
  found.push(...(await amiss(page, 'all lost')));
  expect(found).toEqual([]);
});
