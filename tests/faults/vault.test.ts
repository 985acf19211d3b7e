/** A locked project on the built studio (fault 30): what a stranger with the disk finds, and what doors let through. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { ensureBuilt } from '../../tools/lib/setup.mjs';
import { startServer } from '../../tools/lib/server.mjs';
import { axeFindings } from '../support/looks';
import { newProfile, removeProfile, startBrowser } from '../support/own-browser';
import type { OwnBrowser } from '../support/own-browser';
import { searchProfile } from '../support/profile-search';

const SOON = { timeout: 60_000 };
const PASSPHRASE = 'seven quiet otters swim';
/** In everything of the project that is locked from the start, and in one that is open. */
const SECRET = 'Xylocanary';
const OPEN = 'Opencanary';

let server: Awaited<ReturnType<typeof startServer>>;
let profile: string;
let folder: string;
let own: OwnBrowser;
let page: Page;

beforeAll(async () => {
  ensureBuilt();
  server = await startServer();
  profile = await newProfile();
  folder = await mkdtemp(join(tmpdir(), 'terrarium-vault-'));
  own = await startBrowser(profile);
  page = own.page;
}, 180_000);

afterAll(async () => {
  await own.close();
  await server.close();
  await removeProfile(profile);
  await rm(folder, { recursive: true, force: true });
});

/** Its name, a column, cells and classes hold the word. */
async function tableWith(word: string): Promise<string> {
  const rows = Array.from({ length: 160 }, (_, index) => {
    const a = (index % 40) / 10;
    const b = ((index * 7) % 30) / 10;
    const kind = a + b > 3.2 ? `${word}Yes` : `${word}No`;
    return `${a},${b},${word}Ward${index % 3},${kind}`;
  });
  const path = join(folder, `${word}-file.csv`);
  await writeFile(path, [`${word}Size,width,ward,${word}Kind`, ...rows].join('\n'));
  return path;
}

/** From the table to a compressed model, with the word in every name that can be given. Returns the project's address. */
async function work(path: string, word: string): Promise<string> {
  await page.locator('section.own input[type=file]').setInputFiles(path);
  await page.waitForURL(/#\/p\/[^/]+\/goal/, { timeout: 120_000 });
  const project = page.url().replace(/\/\w+$/, '');
  await rename(`${word}-file`, `${word} project`);
  await page.goto(`${project}/train`);
  await page.getByRole('button', { name: 'Train', exact: true }).first().click(SOON);
  await page
    .getByText(/Right on \d+ of/)
    .first()
    .waitFor({ timeout: 120_000 });
  await page.goto(`${project}/versions`);
  await rename('Run 1', `${word} model`);
  await page.goto(`${project}/evaluate`);
  await page.getByRole('button', { name: /^Open the \d+ sealed/ }).click(SOON);
  await page.getByText(/Opened (once|1 time)/).waitFor(SOON);
  await page.goto(`${project}/compress`);
  await page.getByRole('button', { name: 'Make the copy' }).click(SOON);
  await page
    .getByText(/What was done to/)
    .first()
    .waitFor(SOON);
  return project;
}

/** A name that is shown, into another one. */
async function rename(what: string, name: string): Promise<void> {
  const shown = page.getByRole('button', { name: what, exact: true }).first();
  await shown.waitFor(SOON);
  await shown.focus();
  await page.keyboard.press('F2');
  await page.keyboard.type(name);
  await page.keyboard.press('Enter');
  await page.getByText(name).first().waitFor(SOON);
}

async function expectNothingSeen(): Promise<void> {
  const seen = await page.evaluate(
    () => `${document.title}\n${document.documentElement.innerHTML}`,
  );
  expect(seen).not.toContain(SECRET);
}

async function unlock(passphrase: string): Promise<void> {
  await page.getByLabel('Passphrase', { exact: true }).fill(passphrase);
  await page.getByRole('button', { name: 'Unlock', exact: true }).click();
}

describe('a project that is locked from the start', () => {
  let project = '';
  let recoveryKey = '';

  test('is made on Home, and everything is done inside it', async () => {
    await page.goto(`${server.url}#/`);
    await page.getByRole('button', { name: 'New locked project' }).click(SOON);
    await page.getByLabel('Passphrase', { exact: true }).fill(PASSPHRASE);
    await page.getByLabel('The same once more').fill(PASSPHRASE);
    expect(await axeFindings(page)).toEqual([]);
    await page.getByRole('button', { name: 'Make the lock' }).click();
    await page.getByRole('heading', { name: 'Your recovery key' }).waitFor(SOON);
    recoveryKey = (await page.locator('code').textContent()) ?? '';
    expect(recoveryKey).toMatch(/^(\w{4}-){8}\w{4}$/);
    expect(await axeFindings(page)).toEqual([]);
    await page.getByText('I have kept it').click();
    await page.getByRole('button', { name: 'Continue' }).click();
    await page.getByText(/goes into the locked project/).waitFor(SOON);
    project = await work(await tableWith(SECRET), SECRET);
    expect(await page.title()).not.toContain(SECRET);
  });

  test('locks at a press, shows nothing of itself, and opens with the right passphrase only', async () => {
    await page.getByRole('button', { name: 'Lock', exact: true }).click();
    expect(await axeFindings(page)).toEqual([]);
    await page.getByRole('button', { name: 'Lock now' }).click();
    await page.getByRole('heading', { name: 'Locked project' }).waitFor(SOON);
    await expectNothingSeen();
    expect(await axeFindings(page)).toEqual([]);
    await unlock('seven quiet otters swam');
    await page.getByText('This passphrase does not open the project.').waitFor(SOON);
    await expectNothingSeen();
    await unlock(PASSPHRASE);
    await page.getByText(`${SECRET} project`).first().waitFor(SOON);
  });

  test('is locked after a reload, and in every tab once one of them locks it', async () => {
    await page.reload();
    await page.getByRole('heading', { name: 'Locked project' }).waitFor(SOON);
    await expectNothingSeen();
    await page.goto(`${server.url}#/`);
    await page.getByRole('link', { name: 'Unlock Locked project' }).waitFor(SOON);
    await expectNothingSeen();
    await page.getByRole('link', { name: 'Unlock Locked project' }).click();
    await page.getByRole('button', { name: 'Passphrase forgotten?' }).click();
    await page.getByLabel('Recovery key').fill(recoveryKey.toLowerCase());
    await page.getByRole('button', { name: 'Unlock', exact: true }).click();
    await page.getByText(`${SECRET} project`).first().waitFor(SOON);
    const second = await own.context.newPage();
    await second.goto(`${project}/data`);
    await second.getByLabel('Passphrase', { exact: true }).fill(PASSPHRASE);
    await second.getByRole('button', { name: 'Unlock', exact: true }).click();
    await second.getByText(`${SECRET} project`).first().waitFor(SOON);
    await page.bringToFront();
    await page.getByRole('button', { name: 'Lock', exact: true }).click();
    await page.getByRole('button', { name: 'Lock now' }).click();
    await second.getByRole('heading', { name: 'Locked project' }).waitFor(SOON);
    await second.close();
  });

  test('leaves no word of itself in the whole profile, where one that is open leaves many', async () => {
    await page.goto(`${server.url}#/`);
    await work(await tableWith(OPEN), OPEN);
    await own.close();
    const open = await searchProfile(profile, [OPEN]);
    expect(open.some(({ file }) => file.includes('IndexedDB'))).toBe(true);
    expect(await searchProfile(profile, [SECRET, PASSPHRASE, recoveryKey])).toEqual([]);
  });
});
