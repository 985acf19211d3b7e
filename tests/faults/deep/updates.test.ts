/** A newer build arrives while the older one trains (fault 24); saved files that are damaged or called back (25). */
import { spawnSync } from 'node:child_process';
import { cp, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { chromium } from 'playwright-core';
import type { Browser, Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { CHROMIUM_FLAGS, ensureChromium } from '../../../tools/lib/chromium.mjs';
import { ensureBuilt, ROOT } from '../../../tools/lib/setup.mjs';
import { startServer } from '../../../tools/lib/server.mjs';
import { trainUntilStopped } from '../../support/train-screen';

let folder: string;
let site: string;
let server: Awaited<ReturnType<typeof startServer>>;
let browser: Browser;
let page: Page;

beforeAll(async () => {
  ensureBuilt();
  folder = await mkdtemp(join(tmpdir(), 'terrarium-updates-'));
});

afterAll(() => rm(folder, { recursive: true, force: true }));

/** The studio of today on a server of its own, whose files a test may exchange. */
async function open(): Promise<void> {
  site = join(folder, 'site');
  await rm(site, { recursive: true, force: true });
  await cp(join(ROOT, 'dist'), site, { recursive: true });
  server = await startServer({ root: site });
  browser = await chromium.launch({ executablePath: ensureChromium(), args: [...CHROMIUM_FLAGS] });
  page = await browser.newPage();
  await page.goto(server.url);
  await saved();
}

afterEach(async () => {
  await browser.close();
  await server.close();
});

const saved = () =>
  page.getByRole('button', { name: /Works offline/ }).waitFor({ timeout: 120_000 });

/** What differs from the build of today: tests/support/next-build.mjs. */
function buildAnother(outDir: string, env: Record<string, string> = {}): void {
  const script = env.TERRARIUM_RETIRE_OFFLINE
    ? ['node_modules/vite/bin/vite.js', 'build', '--outDir', outDir, '--emptyOutDir']
    : ['tests/support/next-build.mjs', outDir];
  const made = spawnSync(process.execPath, script, {
    cwd: ROOT,
    env: { ...process.env, NODE_ENV: 'production', ...env },
    encoding: 'utf8',
  });
  expect(made.status, made.stderr).toBe(0);
}

async function deploy(built: string): Promise<void> {
  await rm(site, { recursive: true, force: true });
  await cp(built, site, { recursive: true });
}

const cacheNames = () =>
  page.evaluate(async () => (await caches.keys()).filter((name) => name.includes('-build-')));

describe('a newer build while a run trains', () => {
  it.each(['offered', 'forced upon it'] as const)(
    '%s: the page goes on with its own files until it is asked',
    async (way) => {
      const next = join(folder, 'next');
      buildAnother(next);
      await open();
      let loads = 0;
      page.on('load', () => loads++);
      await page.goto(`${server.url}#/new/digits`);
      await trainUntilStopped(page);
      await page
        .getByText(/Epoch \d+ of/)
        .first()
        .waitFor({ timeout: 60_000 });
      const before = loads;
      const training = page.url();
      const [old] = await cacheNames();

      await deploy(next);
      await page.evaluate(async () => (await navigator.serviceWorker.ready).update());
      await page
        .getByText('A new version is ready')
        .first()
        .waitFor({ timeout: 60_000 })
        .catch(
          // While it trains the offer stands in the dialog of the chip alone.
          async () => expect.poll(cacheNames).toHaveLength(2),
        );
      if (way === 'forced upon it') {
        const cdp = await page.context().newCDPSession(page);
        await cdp.send('ServiceWorker.enable');
        await cdp.send('ServiceWorker.skipWaiting', { scopeURL: server.url });
        await page.evaluate(
          () =>
            new Promise<void>((resolve) => {
              const look = () =>
                navigator.serviceWorker.controller?.state === 'activated'
                  ? resolve()
                  : setTimeout(look, 100);
              look();
            }),
        );
      }
      // Nothing of the older build is on the server any more: this screen comes from what was kept.
      await page.goto(`${server.url}#/settings`);
      await page.getByText('Nothing leaves this computer').waitFor({ timeout: 30_000 });
      expect(await page.evaluate(() => 'nextBuild' in globalThis)).toBe(false);
      expect(loads).toBe(before);
      expect(await cacheNames()).toContain(old);

      // The run ends, the newer build is asked for, and once no older page is left its files go.
      await page.goto(training);
      await page.getByRole('button', { name: 'Stop and keep best' }).click({ timeout: 60_000 });
      await page
        .getByText(/Right on [\d,]+ of/)
        .first()
        .waitFor({ timeout: 60_000 });
      expect(loads).toBe(before);
      const offer = page.getByRole('button', { name: 'A new version is ready' });
      await offer.click({ timeout: 60_000 });
      await expect.poll(() => loads, { timeout: 30_000 }).toBe(before + 1);
      await page.goto(`${server.url}#/settings`);
      await page.getByText('Nothing leaves this computer').waitFor({ timeout: 60_000 });
      expect(await page.evaluate(() => 'nextBuild' in globalThis)).toBe(true);
      await expect
        .poll(
          async () => {
            await page.reload();
            await page.waitForTimeout(3000);
            return cacheNames();
          },
          { timeout: 60_000 },
        )
        .not.toContain(old);
    },
  );
});

describe('saved files', () => {
  it('an engine that is gone from them is fetched and checked again', async () => {
    await open();
    const wasm = await page.evaluate(async () => {
      for (const name of await caches.keys()) {
        const cache = await caches.open(name);
        for (const request of await cache.keys()) {
          if (!request.url.endsWith('.wasm')) continue;
          await cache.delete(request);
          return request.url;
        }
      }
      return null;
    });
    expect(wasm).not.toBeNull();
    await page.reload();
    await saved();
    const again = await page.evaluate(async (address) => {
      const found = await caches.match(address ?? '');
      return found?.headers.get('X-Terrarium-Sha256') ?? null;
    }, wasm);
    expect(again).toMatch(/^[0-9a-f]{64}$/);
  });

  it('a build whose files arrive truncated is not taken, and the former one goes on offline', async () => {
    const next = join(folder, 'torn');
    buildAnother(next);
    const shell = (await readdir(join(next, 'assets'))).filter((name) =>
      /^index-.*\.js$/.test(name),
    );
    expect(shell.length).toBeGreaterThan(0);
    for (const name of shell) {
      const path = join(next, 'assets', name);
      const whole = await readFile(path);
      await writeFile(path, whole.subarray(0, whole.length / 2));
    }
    await open();
    const kept = await cacheNames();
    await deploy(next);
    await page.evaluate(async () => {
      const registration = await navigator.serviceWorker.ready;
      await registration.update();
      const { installing } = registration;
      if (!installing) return;
      await new Promise<void>((resolve) => {
        installing.addEventListener('statechange', () => {
          if (installing.state === 'redundant' || installing.state === 'installed') resolve();
        });
      });
    });
    expect(
      await page.evaluate(async () => (await navigator.serviceWorker.ready).waiting),
    ).toBeNull();
    await server.close();
    await page.reload();
    await page.locator('h1').first().waitFor();
    expect(await page.evaluate(() => 'nextBuild' in globalThis)).toBe(false);
    expect(await cacheNames()).toEqual(expect.arrayContaining(kept));
  });

  it('a build that retires the service worker removes it and its files, and no project', async () => {
    const retired = join(folder, 'retired');
    buildAnother(retired, { TERRARIUM_RETIRE_OFFLINE: '1' });
    await open();
    await page.getByRole('link', { name: /Which penguin is it/ }).click();
    await page.getByText(/Right on \d+ of \d+ penguins/).waitFor({ timeout: 120_000 });
    await deploy(retired);
    await page.goto(server.url);
    await page.evaluate(async () => (await navigator.serviceWorker.ready).update());
    await expect
      .poll(async () => page.evaluate(async () => (await caches.keys()).length).catch(() => -1), {
        timeout: 60_000,
      })
      .toBe(0);
    await page.goto(server.url);
    await page
      .getByRole('link', { name: /Penguins/ })
      .first()
      .waitFor({ timeout: 30_000 });
  });
});
