import { cp, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { chromium } from 'playwright-core';
import type { Page } from 'playwright-core';
import { afterEach, describe, expect, it } from 'vitest';
import { CHROMIUM_FLAGS, ensureChromium } from '../../tools/lib/chromium.mjs';
import { ensureBuilt, ROOT } from '../../tools/lib/setup.mjs';
import { startServer } from '../../tools/lib/server.mjs';
import type { Opened } from '../support/studio';
import { openStudio } from '../support/studio';

let studio: Opened | undefined;
afterEach(async () => {
  await studio?.close();
  studio = undefined;
});

/** Resolves once the chip says, by the service worker's own count, that every file of the build is saved. */
async function savedForOffline(page: Page): Promise<void> {
  await page.getByRole('button', { name: /Works offline/ }).waitFor({ timeout: 60_000 });
}

async function listSaved(): Promise<string[]> {
  const urls: string[] = [];
  for (const name of await caches.keys()) {
    for (const { url } of await (await caches.open(name)).keys()) urls.push(url);
  }
  return urls;
}

describe('offline', () => {
  it('starts with the server stopped, isolated, from any sub-path and without server headers', async () => {
    studio = await openStudio({ headers: false, base: '/some/sub/path/' });
    const { page, server } = studio;
    await savedForOffline(page);
    await server.close();
    await page.reload();
    await page.waitForSelector('h1');
    expect(await page.evaluate(() => crossOriginIsolated)).toBe(true);

    // The whole way to a result, with nobody to ask.
    await page.getByRole('link', { name: /Which penguin is it/ }).click();
    await page.getByText(/Right on \d+ of \d+ penguins/).waitFor({ timeout: 90_000 });
    await page
      .getByRole('button', { name: 'Try it' })
      .or(page.getByRole('link', { name: 'Try it' }))
      .first()
      .click();
    await page.getByText(/^It says \w+, and is/).waitFor();
    expect(studio.outside).toEqual([]);
  });

  it("keeps no file whose bytes are not the build's, and says so", async () => {
    ensureBuilt();
    const copy = await mkdtemp(join(tmpdir(), 'terrarium-'));
    await cp(join(ROOT, 'dist'), copy, { recursive: true });
    const wasm = (await readdir(join(copy, 'assets'))).find((name) => name.endsWith('.wasm'));
    await writeFile(join(copy, 'assets', wasm ?? ''), 'not the engine');
    const server = await startServer({ root: copy });
    const browser = await chromium.launch({
      executablePath: ensureChromium(),
      args: [...CHROMIUM_FLAGS],
    });
    try {
      const page = await browser.newPage();
      await page.addInitScript(() => {
        const said: unknown[] = [];
        Object.assign(globalThis, { said });
        navigator.serviceWorker.addEventListener('message', (event) => said.push(event.data));
      });
      await page.goto(server.url);
      await page.waitForFunction(
        () =>
          JSON.stringify(Reflect.get(globalThis, 'said')).includes(
            'is not the file of this version',
          ),
        null,
        { timeout: 30_000 },
      );
      const kept = await page.evaluate(listSaved);
      expect(kept.length).toBeGreaterThan(3);
      expect(kept.filter((url) => url.endsWith('.wasm'))).toEqual([]);
    } finally {
      await browser.close();
      await server.close();
      await rm(copy, { recursive: true });
    }
  });
});
