/** A disk that fills while a run trains (fault check 6): a real quota, lowered under a run that writes checkpoints. */
import { readFile } from 'node:fs/promises';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { startServer } from '../../../tools/lib/server.mjs';
import { ensureBuilt } from '../../../tools/lib/setup.mjs';
import { modelsIn, runsIn, until } from '../../support/drilled';
import { everyByteHolds } from '../../support/home';
import { amiss } from '../../support/looks';
import { newProfile, removeProfile, startBrowser } from '../../support/own-browser';
import type { OwnBrowser } from '../../support/own-browser';
import { stepShown, trainUntilStopped } from '../../support/train-screen';

let server: Awaited<ReturnType<typeof startServer>>;
let profile: string;
let own: OwnBrowser;

beforeAll(async () => {
  ensureBuilt();
  server = await startServer();
  profile = await newProfile();
  own = await startBrowser(profile);
});
afterAll(async () => {
  await own.kill();
  await removeProfile(profile);
  await server.close();
});

/** Chromium trusts what it knew of the room for half a minute, and the studio asks again every few seconds. */
const NOTICED = { timeout: 180_000 };

it('a run holds still, offers its checkpoint as a file, and goes on when there is room', async () => {
  const { page, context } = own;
  await page.goto(`${server.url}#/new/digits`);
  await trainUntilStopped(page);
  const running = () =>
    runsIn(page).then((runs) => runs.find(({ status }) => status === 'running'));
  await until('a checkpoint', async () => ((await running())?.stepsDone ?? 0) > 0);

  const origin = new URL(server.url).origin;
  const cdp = await context.newCDPSession(page);
  await cdp.send('Storage.overrideQuotaForOrigin', { origin, quotaSize: 2 ** 20 });
  const card = page.getByRole('heading', { name: 'The disk is full' });
  await card.waitFor(NOTICED);
  expect(await amiss(page, 'the disk is full')).toEqual([]);
  const saved = (await running())?.stepsDone ?? 0;
  // It does not train on towards a loss.
  const still = await stepShown(page);
  await page.waitForTimeout(3_000);
  expect(await stepShown(page)).toBe(still);
  expect((await running())?.stepsDone).toBe(saved);

  const [file] = await Promise.all([
    page.waitForEvent('download'),
    page.getByRole('button', { name: 'Save what it has learned as a file' }).click(),
  ]);
  expect(file.suggestedFilename()).toMatch(/, step [\d,]+\.safetensors$/);
  const bytes = await readFile(await file.path());
  const length = Number(bytes.readBigUInt64LE(0));
  const header = JSON.parse(bytes.subarray(8, 8 + length).toString()) as Record<string, Entry>;
  const tensors = Object.entries(header).filter(([name]) => name !== '__metadata__');
  expect(tensors.length).toBeGreaterThan(3);
  for (const [
    name,
    {
      dtype,
      shape,
      data_offsets: [from, to],
    },
  ] of tensors) {
    if (dtype !== 'F32') continue;
    expect(to - from, name).toBe(4 * shape.reduce((product, size) => product * size, 1));
    for (let at = 8 + length + from; at < 8 + length + to; at += 4) {
      if (!Number.isFinite(bytes.readFloatLE(at))) throw new Error(`${name} is not finite.`);
    }
  }

  await cdp.send('Storage.overrideQuotaForOrigin', { origin });
  await card.waitFor({ ...NOTICED, state: 'detached' });
  await expect.poll(() => stepShown(page), NOTICED).toBeGreaterThan(still);
  await until('a checkpoint again', async () => ((await running())?.stepsDone ?? 0) > saved);
  await page.getByRole('button', { name: 'Stop and keep best' }).click();
  const ended = await until('the end', async () =>
    (await runsIn(page)).find(({ status }) => status === 'stopped'),
  );
  const kinds = ended.incidents?.map(({ kind }) => kind);
  expect(kinds).toEqual(expect.arrayContaining(['disk-full', 'room-again']));
  const points = ended.curve.map(({ series, step }) => `${series} ${step}`);
  expect(new Set(points).size).toBe(points.length);
  expect((await modelsIn(page)).filter(({ runId }) => runId === ended.id)).toHaveLength(1);
  await everyByteHolds(page, server.url);
}, 600_000);

interface Entry {
  readonly dtype: string;
  readonly shape: readonly number[];
  readonly data_offsets: readonly [number, number];
}
