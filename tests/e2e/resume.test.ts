import { afterAll, beforeAll, expect, it } from 'vitest';
import { ensureBuilt } from '../../tools/lib/setup.mjs';
import { startServer } from '../../tools/lib/server.mjs';
import { runsIn, until } from '../support/drilled';
import { newProfile, removeProfile, startBrowser } from '../support/own-browser';
import type { OwnBrowser } from '../support/own-browser';
import { interruptedAt, stepShown, trainUntilStopped } from '../support/train-screen';

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

it('a run whose browser was killed is offered again and goes on from its checkpoint', async () => {
  own = await startBrowser(profile);
  const first = own.page;
  await first.goto(`${server.url}#/new/digits`);
  await trainUntilStopped(first);
  const { stepsDone, stepsTotal } = await until('a checkpoint of the second run', async () =>
    (await runsIn(first)).find((run) => run.status === 'running' && run.stepsDone > 2),
  );
  const address = first.url();
  await own.kill();

  own = await startBrowser(profile);
  const { page } = own;
  await page.goto(address);
  const kept = await interruptedAt(page);
  expect(kept).toBeGreaterThanOrEqual(stepsDone);
  expect(kept).toBeLessThan(stepsTotal);

  await page.getByRole('button', { name: 'Resume it' }).click();
  await expect.poll(() => stepShown(page), { timeout: 60_000 }).toBeGreaterThan(kept);
  await page.getByRole('button', { name: 'Stop and keep best' }).click();
  await page
    .getByText(/Right on [\d,]+ of/)
    .first()
    .waitFor({ timeout: 60_000 });
});
