/** Home and the Storage screen, driven as a person would, from a page loaded anew. */
import { resolve } from 'node:path';
import type { Page } from 'playwright-core';

const SOON = { timeout: 60_000 };

/** Chooses a file for “Your own table”. */
export async function chooseOnHome(page: Page, url: string, path: string): Promise<void> {
  await page.goto('about:blank');
  await page.goto(`${url}#/`);
  await page.getByRole('heading', { name: 'Your projects' }).waitFor(SOON);
  // By its path: a browser that was spawned here would be sent the whole file otherwise.
  const cdp = await page.context().newCDPSession(page);
  const expression = `document.querySelector('section.own input[type=file]')`;
  const { result } = await cdp.send('Runtime.evaluate', { expression });
  const { objectId } = result;
  if (objectId === undefined) throw new Error('There is no place for files.');
  await cdp.send('DOM.setFileInputFiles', { files: [resolve(path)], objectId });
  await cdp.detach();
}

/** Has the studio check every record and every byte; waits until it says that all is well. */
export async function everyByteHolds(page: Page, url: string): Promise<void> {
  await page.goto('about:blank');
  await page.goto(`${url}#/storage`);
  await page.getByRole('button', { name: 'Check every byte' }).click(SOON);
  await page.getByText('every record and every byte is as it was written').waitFor(SOON);
}
