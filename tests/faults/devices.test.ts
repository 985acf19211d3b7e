/** Graphics processors that fail, played and real, on the built studio (fault checks 15, 16, 17). */
import { chromium } from 'playwright-core';
import type { Browser, Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { CHROMIUM_FLAGS, ensureChromium } from '../../tools/lib/chromium.mjs';
import { startServer } from '../../tools/lib/server.mjs';
import { ensureBuilt } from '../../tools/lib/setup.mjs';
import { DrillPage, harmedRun, modelsIn, runsIn, until } from '../support/drilled';
import { playGpu } from '../support/played-gpu';
import type { Played } from '../support/played-gpu';

let browser: Browser;
let server: Awaited<ReturnType<typeof startServer>>;
let page: Page;

beforeAll(async () => {
  ensureBuilt();
  server = await startServer();
  browser = await chromium.launch({
    executablePath: ensureChromium(),
    args: [...CHROMIUM_FLAGS, '--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE localhost'],
  });
});
afterEach(() => page.context().close());
afterAll(async () => {
  await browser.close();
  await server.close();
});

async function opened(played: Played | null): Promise<Page> {
  const context = await browser.newContext({ serviceWorkers: 'block' });
  if (played) await playGpu(context, played);
  page = await context.newPage();
  return page;
}

describe('a lost graphics device', () => {
  it('a device lost while its calls go on as if nothing had happened: recovered, the same weights', async () => {
    const drill = new DrillPage(await opened({ kind: 'lost', after: 500, devices: 1 }));
    await drill.open(server.url, 'webgpu');
    await drill.start();
    await drill.recovered();
    await drill.training();
    const log = await drill.verdict();
    expect(log).toContain('Steps counted twice: 0.');
    expect(log).toContain('Weights equal: every bit.');
  });

  it('two devices lost within five minutes: it goes on with the processor and says so', async () => {
    // Late enough for a checkpoint of the graphics processor, whose steps the processor cannot repeat to the last bit.
    const drill = new DrillPage(await opened({ kind: 'lost', after: 1500, devices: 2 }));
    await drill.open(server.url, 'webgpu');
    await page.getByRole('button', { name: /Start/ }).click();
    await until('the move', async () => (await drill.log()).includes('goes on with the processor'));
    await drill.training();
    expect(await drill.verdict()).toContain('round otherwise');
    const drilled = await harmedRun(page);
    expect(drilled).toMatchObject({ status: 'stopped', device: { executor: 'wasm' } });
    const befell = drilled?.incidents?.map(({ kind }) => kind) ?? [];
    expect(befell.filter((kind) => kind !== 'resumed')).toEqual([
      'device-lost',
      'device-lost',
      'moved',
    ]);
    expect(drilled?.incidents?.at(-1)).toMatchObject({ exact: false, executor: 'wasm' });
  });

  it('the process of the graphics processor killed: recovered, the same weights', async () => {
    const drill = new DrillPage(await opened(null));
    await drill.open(server.url, 'webgpu');
    await drill.start();
    const before = await drill.saved();
    const cdp = await browser.newBrowserCDPSession();
    // It does not answer: the process is gone.
    void cdp.send('Browser.crashGpuProcess').catch(() => undefined);
    await drill.recovered();
    await drill.training(before);
    const log = await drill.verdict();
    expect(log).toContain('The loss was noticed');
    expect(log).toContain('Weights equal: every bit.');
  });
});

describe('a graphics device with errors', () => {
  it('memory that runs out: halved once, which is in the record, and the run goes on', async () => {
    const drill = new DrillPage(await opened({ kind: 'out-of-memory', after: 120, devices: 1 }));
    await drill.open(server.url, 'webgpu');
    await drill.start();
    await drill.recovered();
    await drill.training();
    expect(await drill.log()).toMatch(/Memory ran out: it goes on in parts of \d+ rows/);
    await drill.verdict();
    const drilled = await harmedRun(page);
    const { batchSize } = drilled?.config.training ?? { batchSize: 0 };
    expect(drilled?.microBatch?.rows).toBe(batchSize / 2);
    expect(drilled?.incidents?.map(({ kind }) => kind)).toContain('divided');
  });

  it('memory that runs out again, or a refused kernel: it fails with what to do, and saves no model', async () => {
    const drill = new DrillPage(await opened({ kind: 'out-of-memory', after: 60, devices: 2 }));
    await drill.open(server.url, 'webgpu');
    await page.getByRole('button', { name: /Start/ }).click();
    await page.getByText(/Choose a batch smaller than/).waitFor({ timeout: 60_000 });
    expect(await runsIn(page)).toMatchObject([
      { status: 'failed', error: { code: 'training/out-of-memory' } },
    ]);
    expect(await modelsIn(page)).toEqual([]);
    await page.context().close();

    const refused = new DrillPage(await opened({ kind: 'validation', after: 60, devices: 9 }));
    await refused.open(server.url, 'webgpu');
    await page.getByRole('button', { name: /Start/ }).click();
    await page.getByText(/refused a step/).waitFor({ timeout: 60_000 });
    expect(await runsIn(page)).toMatchObject([{ status: 'failed', error: { code: 'engine/gpu' } }]);
    expect(await modelsIn(page)).toEqual([]);
  });
});

it('a browser without WebGPU: the penguins are learned on the processor, and the badge says so', async () => {
  await opened({ kind: 'absent' });
  await page.goto(`${server.url}#/new/penguins`);
  await page
    .getByText(/Right on [\d,]+ of/)
    .first()
    .waitFor({ timeout: 90_000 });
  const [run] = (await runsIn(page)).filter(({ role }) => role === 'model');
  expect(run).toMatchObject({ status: 'done', device: { executor: 'wasm' } });
  await page
    .locator('header')
    .getByText(/processor/i)
    .first()
    .waitFor({ timeout: 30_000 });
});
