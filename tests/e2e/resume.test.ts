import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { chromium } from 'playwright-core';
import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { CHROMIUM_FLAGS, ensureChromium } from '../../tools/lib/chromium.mjs';
import { ensureBuilt } from '../../tools/lib/setup.mjs';
import { startServer } from '../../tools/lib/server.mjs';

/** A browser of our own on a profile of its own, so that it can be killed as a crash would and started again. */
interface OwnBrowser {
  readonly process: ChildProcess;
  readonly browser: Browser;
  readonly page: Page;
}

let profile: string;
let server: Awaited<ReturnType<typeof startServer>>;
let own: OwnBrowser | undefined;

beforeAll(async () => {
  ensureBuilt();
  profile = await mkdtemp(join(tmpdir(), 'terrarium-profile-'));
  server = await startServer();
});

afterAll(async () => {
  if (own) await kill(own);
  await server.close();
  await rm(profile, { recursive: true, force: true, maxRetries: 5 });
});

async function start(): Promise<OwnBrowser> {
  await rm(join(profile, 'DevToolsActivePort'), { force: true });
  const child = spawn(
    ensureChromium(),
    [
      ...CHROMIUM_FLAGS,
      '--headless=new',
      '--remote-debugging-port=0',
      `--user-data-dir=${profile}`,
      'about:blank',
    ],
    { stdio: 'ignore' },
  );
  const port = await debuggingPort();
  const browser = await chromium.connectOverCDP(`http://127.0.0.1:${port}`);
  const context = browser.contexts()[0];
  if (!context) throw new Error('The browser has no context.');
  return { process: child, browser, page: await context.newPage() };
}

async function debuggingPort(): Promise<string> {
  for (let attempt = 0; attempt < 150; attempt++) {
    const text = await readFile(join(profile, 'DevToolsActivePort'), 'utf8').catch(() => '');
    const [port] = text.split('\n');
    if (port) return port;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  throw new Error('Chromium did not start within 15 s.');
}

async function kill({ process: child }: OwnBrowser): Promise<void> {
  const gone = new Promise((resolve) => child.once('exit', resolve));
  child.kill('SIGKILL');
  await gone;
}

/** The step that the progress line of Run 2 names; 0 while another run is shown. */
async function stepShown(page: Page): Promise<number> {
  const heading = await page.locator('h1').first().textContent();
  if (heading?.trim() !== 'Run 2') return 0;
  const text = (await page.textContent('main')) ?? '';
  return Number(/steps\s*([\d,]+) of/.exec(text)?.[1]?.replaceAll(',', '') ?? 0);
}

it('a run whose browser was killed is offered again and goes on from its checkpoint', async () => {
  own = await start();
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
  await kill(own);

  own = await start();
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
