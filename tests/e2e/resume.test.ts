import type { Page } from 'playwright-core';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { ensureBuilt } from '../../tools/lib/setup.mjs';
import { startServer } from '../../tools/lib/server.mjs';
import { newProfile, removeProfile, startBrowser } from '../support/own-browser';
import type { OwnBrowser } from '../support/own-browser';

let profile: string;
let server: Awaited<ReturnType<typeof startServer>>;
let own: OwnBrowser | undefined;

beforeAll(async () => {
  ensureBuilt();
  profile = await newProfile();
  server = await startServer();
});

afterAll(async () => {
  await own?.kill();
  await server.close();
  await removeProfile(profile);
});

/** The step that the progress line of Run 2 names; 0 while another run is shown. */
async function stepShown(page: Page): Promise<number> {
  const heading = await page.locator('h1').first().textContent();
  if (heading?.trim() !== 'Run 2') return 0;
  const text = (await page.textContent('main')) ?? '';
  return Number(/steps\s*([\d,]+) of/.exec(text)?.[1]?.replaceAll(',', '') ?? 0);
}

it('a run whose browser was killed is offered again and goes on from its checkpoint', async () => {
  own = await startBrowser(profile);
  const first = own.page;
  await first.goto(`${server.url}#/new/digits`);
  // The starter's own run may be over in seconds on a fast machine; the full recipe is not.
  await first.getByRole('button', { name: 'Train longer' }).click({ timeout: 90_000 });
  await expect.poll(() => stepShown(first), { timeout: 90_000 }).toBeGreaterThan(0);
  // Longer than the time between two checkpoints.
  await first.waitForTimeout(9_000);
  const killedAt = await stepShown(first);
  const address = first.url();
  expect(killedAt).toBeGreaterThan(2);
  await own.kill();

  own = await startBrowser(profile);
  const { page } = own;
  await page.goto(address);
  const notice = page.getByText(/was interrupted at step/);
  await notice.waitFor({ timeout: 30_000 });
  const kept = Number(
    /at step ([\d,]+) of/.exec((await notice.textContent()) ?? '')?.[1]?.replaceAll(',', ''),
  );
  expect(kept).toBeGreaterThan(0);
  expect(kept).toBeLessThanOrEqual(killedAt + 50);

  await page.getByRole('button', { name: 'Resume it' }).click();
  await expect.poll(() => stepShown(page), { timeout: 60_000 }).toBeGreaterThan(kept);
  await page.getByRole('button', { name: 'Stop and keep best' }).click();
  await page
    .getByText(/Right on [\d,]+ of/)
    .first()
    .waitFor({ timeout: 60_000 });
});
