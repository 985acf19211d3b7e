/** A locked project in the built studio, driven by its screens as a person would. */
import type { Page } from 'playwright-core';

export const PASSPHRASE = 'seven quiet otters swim';
const SOON = { timeout: 60_000 };
const button = (page: Page, name: string) => page.getByRole('button', { name, exact: true });
const field = (page: Page, name: string) => page.getByLabel(name, { exact: true });

/** From Home to an open and empty lock that takes the next data; returns its recovery key. */
export async function makeLock(page: Page, url: string): Promise<string> {
  await page.goto(`${url}#/`);
  await button(page, 'New locked project').click(SOON);
  const recoveryKey = await fillLock(page);
  await page.getByText(/goes into the locked project/).waitFor(SOON);
  return recoveryKey;
}

/** In the dialog of a new lock, to its end. */
export async function fillLock(page: Page): Promise<string> {
  await field(page, 'Passphrase').fill(PASSPHRASE);
  await field(page, 'The same once more').fill(PASSPHRASE);
  await button(page, 'Make the lock').click();
  return keepRecoveryKey(page);
}

export async function keepRecoveryKey(page: Page): Promise<string> {
  await page.getByRole('heading', { name: 'Your recovery key' }).waitFor(SOON);
  const recoveryKey = (await page.locator('code').textContent()) ?? '';
  await page.getByText('I have kept it').click();
  await button(page, 'Continue').click();
  return recoveryKey;
}

export async function atTheDoor(page: Page): Promise<void> {
  await page.getByRole('heading', { name: 'Locked project', level: 1 }).waitFor(SOON);
}

/** At the closed door. */
export async function unlock(page: Page, passphrase = PASSPHRASE): Promise<void> {
  await atTheDoor(page);
  await field(page, 'Passphrase').fill(passphrase);
  await button(page, 'Unlock').click();
}

export async function unlockByKey(page: Page, recoveryKey: string, fresh = ''): Promise<void> {
  await atTheDoor(page);
  await button(page, 'Passphrase forgotten?').click();
  await field(page, 'Recovery key').fill(recoveryKey);
  await field(page, 'New passphrase').fill(fresh);
  await button(page, 'Unlock').click();
}

/** The dialog of the open project's lock. */
export async function openPanel(page: Page): Promise<void> {
  await button(page, 'Lock').click(SOON);
  await page.getByRole('heading', { name: 'The lock of this project' }).waitFor(SOON);
}

export async function lockNow(page: Page): Promise<void> {
  await openPanel(page);
  await button(page, 'Lock now').click();
  await atTheDoor(page);
}

/** What the panel asks the passphrase for. */
export async function change(
  page: Page,
  what: 'Change the passphrase' | 'New recovery key' | 'Remove the lock',
  passphrase = PASSPHRASE,
  fresh?: string,
): Promise<void> {
  await openPanel(page);
  await button(page, what).click();
  await field(page, 'Passphrase now').fill(passphrase);
  if (fresh !== undefined) await field(page, 'New passphrase').fill(fresh);
  await button(page, 'Go on').click();
}
