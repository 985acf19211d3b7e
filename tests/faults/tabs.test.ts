/** Several tabs on one project, in the built studio: who writes, who looks on, and what a tab that was frozen may do. */
import type { Page } from 'playwright-core';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { axeFindings } from '../support/looks';
import { isStoreFree } from '../support/stored';
import { openStudio } from '../support/studio';
import type { Opened } from '../support/studio';
import { interruptedAt, stepShown, trainUntilStopped } from '../support/train-screen';

const READING = 'open for editing in another tab';
const MOVED = 'moved to another tab';
const SOON = { timeout: 20_000 };

let studio: Opened;
/** Of the project made first, without its stage. */
let project: string;

beforeAll(async () => {
  studio = await openStudio({ path: '#/new/penguins' });
  const { page } = studio;
  await page
    .getByRole('button', { name: 'Train again' })
    .or(longer(page))
    .first()
    .waitFor({ timeout: 120_000 });
  project = page.url().replace(/\/[a-z]+$/, '');
}, 180_000);

afterAll(async () => {
  await studio.close();
});

function longer(page: Page) {
  return page.getByRole('button', { name: 'Train longer' });
}

async function opened(stage: string): Promise<Page> {
  const page = await studio.context.newPage();
  await page.goto(`${project}/${stage}`);
  await page.locator('h1').first().waitFor();
  return page;
}

const banner = (page: Page, text: string) =>
  page.getByRole('region', { name: 'This project in several tabs' }).getByText(text);
const button = (page: Page, name: string) => page.getByRole('button', { name, exact: true });

/** A person presses what is in front; a tab behind another one draws one frame a second, and a click waits for two. */
async function press(page: Page, name: string): Promise<void> {
  await page.bringToFront();
  await button(page, name).click();
}

async function rename(page: Page, name: string): Promise<void> {
  await page.bringToFront();
  await page.locator('header').getByTitle('Press F2 or double-click to rename').dblclick();
  await page.keyboard.type(name);
  await page.keyboard.press('Enter');
}

async function named(page: Page, name: string): Promise<void> {
  await page.locator('header').getByText(name, { exact: true }).waitFor(SOON);
}

/** The names of all projects, as they lie on disk. */
function stored(page: Page): Promise<readonly string[]> {
  return page.evaluate(
    () =>
      new Promise<string[]>((resolve, reject) => {
        const opening = indexedDB.open('terrarium-core');
        opening.onerror = () => reject(new Error('The database does not open.'));
        opening.onsuccess = () => {
          const all = opening.result.transaction('projects').objectStore('projects').getAll();
          all.onsuccess = () => {
            opening.result.close();
            resolve(all.result.map(({ name }: { name: string }) => name).sort());
          };
        };
      }),
  );
}

interface StoredRun {
  readonly status: string;
  readonly active: boolean;
  readonly models: number;
}

/** The runs by their numbers, and how many models each left. */
function runs(page: Page): Promise<readonly StoredRun[]> {
  return page.evaluate(async () => {
    const rows = <T>(database: IDBDatabase, table: string) =>
      new Promise<T[]>((resolve) => {
        const all = database.transaction(table).objectStore(table).getAll();
        all.onsuccess = () => resolve(all.result);
      });
    const database = await new Promise<IDBDatabase>((resolve) => {
      const opening = indexedDB.open('terrarium-core');
      opening.onsuccess = () => resolve(opening.result);
    });
    const found = await rows<{ id: string; number: number; status: string }>(database, 'runs');
    const models = await rows<{ runId: string }>(database, 'models');
    database.close();
    return found
      .sort((a, b) => a.number - b.number)
      .map(({ id, status }) => ({
        status,
        active: ['preparing', 'running', 'paused'].includes(status),
        models: models.filter(({ runId }) => runId === id).length,
      }));
  });
}

it('a second tab on a project looks on, follows the first, and takes over when it is told to', async () => {
  const { page: first } = studio;
  const second = await opened('goal');
  await banner(second, READING).waitFor(SOON);
  // Everything can be looked at, nothing changed: 20 controls that edit, none of them alive.
  const controls = second.locator('main fieldset:disabled input');
  expect(await controls.count()).toBeGreaterThan(3);
  for (const input of await controls.all()) expect(await input.isDisabled()).toBe(true);
  expect(await axeFindings(second)).toEqual([]);

  await rename(first, 'Birds of the first tab');
  await named(second, 'Birds of the first tab');

  await press(second, 'Take over here');
  await banner(first, MOVED).waitFor(SOON);
  expect(await banner(second, READING).count()).toBe(0);
  expect(await axeFindings(first)).toEqual([]);
  await rename(second, 'Birds of the second tab');
  await named(first, 'Birds of the second tab');

  await press(first, 'Take it back');
  await banner(second, MOVED).waitFor(SOON);
  await rename(first, 'Birds of both');
  for (const page of [first, second]) await named(page, 'Birds of both');
  expect(await stored(first)).toEqual(['Birds of both']);
  await second.close();
});

it('a reload has its own project back without a question, and a tab that is closed leaves it free', async () => {
  const { page: first } = studio;
  const second = await opened('train');
  await banner(second, READING).waitFor(SOON);
  await first.reload();
  await named(first, 'Birds of both');
  await button(first, 'Train again').or(longer(first)).first().waitFor(SOON);
  expect(await banner(first, READING).count()).toBe(0);
  await first.goto(`${studio.url}#/`);
  await banner(second, 'has let go').waitFor(SOON);
  await press(second, 'Edit here');
  await expect.poll(() => banner(second, 'let go').count(), SOON).toBe(0);
  await second.close();
  await first.goto(`${project}/train`);
  await named(first, 'Birds of both');
  expect(await banner(first, READING).count()).toBe(0);
});

/**
 * Freezes a tab as the browser would: not while others wait for a transaction of its own, which would then never end.
 * Returns what wakes it.
 */
async function freeze(page: Page, beside: Page): Promise<() => Promise<unknown>> {
  const session = await page.context().newCDPSession(page);
  const turn = (state: 'frozen' | 'active') => session.send('Page.setWebLifecycleState', { state });
  for (;;) {
    await turn('frozen');
    if (await isStoreFree(beside)) return () => turn('active');
    await turn('active');
    await page.waitForTimeout(50);
  }
}

it('a tab that was frozen while its project moved writes nothing when it wakes, and keeps what it had', async () => {
  const { page: first } = studio;
  const second = await opened('train');
  await banner(second, READING).waitFor(SOON);
  // A name half typed; the tab is frozen before Enter.
  await first.bringToFront();
  await first.locator('header').getByTitle('Press F2 or double-click to rename').dblclick();
  await first.keyboard.type('Birds of the frozen tab');
  const wake = await freeze(first, second);
  await press(second, 'Take over here');
  await expect.poll(() => banner(second, READING).count(), SOON).toBe(0);
  await rename(second, 'Birds of the thief');
  await named(second, 'Birds of the thief');
  await wake();
  await first.keyboard.press('Enter');
  await banner(first, MOVED).waitFor(SOON);
  await banner(first, 'Not saved, because the project had moved: name').waitFor(SOON);
  expect(await stored(first)).toEqual(['Birds of the thief']);
  await named(first, 'Birds of the thief');
  expect(await axeFindings(first)).toEqual([]);
  await press(first, 'Keep my changes as a copy');
  await named(first, 'Birds of the frozen tab');
  expect(await stored(first)).toEqual(['Birds of the frozen tab', 'Birds of the thief']);
  // Two projects in two tabs: both are written.
  await rename(first, 'Birds of the copy');
  await rename(second, 'Birds of the second tab');
  const both = ['Birds of the copy', 'Birds of the second tab'];
  await expect.poll(() => stored(first), SOON).toEqual(both);
  await second.close();
  await first.goto(`${project}/train`);
  await named(first, 'Birds of the second tab');
});

it('a run moves with its project: seen in both tabs, saved in the one, resumed in the other', async () => {
  const { page: first } = studio;
  const second = await opened('train');
  await trainUntilStopped(first);
  await expect.poll(() => stepShown(first), { timeout: 60_000 }).toBeGreaterThan(20);
  const seen = await stepShown(second);
  await expect.poll(() => stepShown(second), SOON).toBeGreaterThan(seen + 20);
  const before = await stepShown(second);
  await press(second, 'Take over here');
  const kept = await interruptedAt(second);
  expect(kept).toBeGreaterThanOrEqual(before);
  await banner(first, MOVED).waitFor(SOON);
  await expect.poll(() => stepShown(first), SOON).toBe(0);
  await first.getByText('interrupted', { exact: true }).first().waitFor(SOON);

  await press(second, 'Resume it');
  await expect.poll(() => stepShown(second), { timeout: 60_000 }).toBeGreaterThan(kept);
  await expect.poll(() => stepShown(first), SOON).toBeGreaterThan(kept);
  // And back, from a tab that cannot answer: what it trained since its last checkpoint is trained again.
  const wake = await freeze(second, first);
  await press(first, 'Take it back');
  await first.getByText(/was interrupted at step/).waitFor({ timeout: 30_000 });
  await wake();
  await banner(second, MOVED).waitFor(SOON);
  await expect.poll(() => stepShown(second), SOON).toBe(0);
  expect((await runs(first)).filter(({ active }) => active)).toEqual([]);
  await press(first, 'Resume it');
  await expect.poll(() => stepShown(first), { timeout: 60_000 }).toBeGreaterThan(kept);
  await press(first, 'Stop and keep best');
  await expect.poll(() => stepShown(first), { timeout: 60_000 }).toBe(0);
  await expect.poll(() => second.getByText('interrupted', { exact: true }).count(), SOON).toBe(0);
  // One run, ended once, with one model.
  const ended = (await runs(first)).at(-1);
  expect(ended).toMatchObject({ status: 'stopped', models: 1 });
  expect(studio.complaints).toEqual([]);
  await second.close();
});

it('Home follows what other tabs make, rename and delete', async () => {
  const { page: first } = studio;
  await first.goto(`${studio.url}#/`);
  const tiles = first.getByRole('region', { name: 'Your projects' }).getByRole('link');
  const names = async () => {
    const labels = await tiles.evaluateAll((links) => links.map(({ ariaLabel }) => ariaLabel));
    return labels.map((label) => label?.replace(/^Open /, '')).sort();
  };
  await expect.poll(names, SOON).toEqual(['Birds of the copy', 'Birds of the second tab']);

  const other = await opened('train');
  await rename(other, 'Birds renamed elsewhere');
  await expect.poll(names, SOON).toEqual(['Birds of the copy', 'Birds renamed elsewhere']);
  // Now both show Home; what one does there the other shows too.
  await other.goto(`${studio.url}#/`);
  const more = (name: string) =>
    other.getByRole('button', { name: `More for ${name}`, exact: true });
  await more('Birds of the copy').click();
  await other.getByRole('menuitem', { name: 'Duplicate' }).click();
  await expect.poll(names, SOON).toContain('Birds of the copy (copy)');
  await more('Birds of the copy (copy)').click();
  await other.getByRole('menuitem', { name: 'Delete' }).click();
  await other.getByRole('dialog').getByRole('button', { name: 'Delete' }).click();
  await expect.poll(names, SOON).toEqual(['Birds of the copy', 'Birds renamed elsewhere']);
  await first.getByText('Trash (1)').waitFor(SOON);
  await other.close();
});

it('a tab whose process crashes leaves its project free for the one that looks on, which is told by nobody', async () => {
  const { page: first, context } = studio;
  await first.goto(`${studio.url}#/`);
  const writer = await opened('goal');
  await named(writer, 'Birds renamed elsewhere');
  expect(await banner(writer, READING).count()).toBe(0);
  const onlooker = await opened('goal');
  await banner(onlooker, READING).waitFor(SOON);

  const session = await context.newCDPSession(writer);
  // It does not answer: the process is gone.
  void session.send('Page.crash').catch(() => undefined);
  await banner(onlooker, 'has let go').waitFor(SOON);
  expect(await axeFindings(onlooker)).toEqual([]);
  await press(onlooker, 'Edit here');
  await rename(onlooker, 'Birds of the survivor');
  await expect.poll(() => stored(first), SOON).toContain('Birds of the survivor');
  await onlooker.close();
});
