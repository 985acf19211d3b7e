/**
 * Opens the built studio in a real Chromium for the end-to-end tests. Everything but localhost resolves to
 * nothing, and whatever the content policy refuses, in the page or in any worker, is collected.
 */
import { chromium } from 'playwright-core';
import type { Browser, BrowserContext, BrowserContextOptions, Page } from 'playwright-core';
import { CHROMIUM_FLAGS, ensureChromium } from '../../tools/lib/chromium.mjs';
import { ensureBuilt } from '../../tools/lib/setup.mjs';
import { startServer } from '../../tools/lib/server.mjs';

export interface Opened {
  readonly url: string;
  readonly page: Page;
  readonly context: BrowserContext;
  readonly browser: Browser;
  readonly server: Awaited<ReturnType<typeof startServer>>;
  /** Errors and warnings of page and workers, and refused loads, as text. */
  readonly complaints: readonly string[];
  /** Addresses asked for that are not the studio's own. */
  readonly outside: readonly string[];
  close(): Promise<void>;
}

export interface OpenOptions {
  readonly path?: string;
  readonly headers?: boolean;
  readonly base?: string;
  readonly flags?: readonly string[];
  readonly context?: BrowserContextOptions;
  /** Runs in every page before its own scripts. */
  readonly initScript?: string;
}

export async function openStudio(options: OpenOptions = {}): Promise<Opened> {
  ensureBuilt();
  const server = await startServer({
    headers: options.headers ?? true,
    base: options.base ?? '/',
  });
  const browser = await chromium.launch({
    executablePath: ensureChromium(),
    args: [
      ...CHROMIUM_FLAGS,
      '--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE localhost',
      ...(options.flags ?? []),
    ],
  });
  const context = await browser.newContext(options.context);
  const complaints: string[] = [];
  const outside: string[] = [];
  context.on('console', (line) => {
    if (line.type() === 'error' || line.type() === 'warning') complaints.push(line.text());
  });
  context.on('weberror', (error) => complaints.push(error.error().stack ?? error.error().message));
  context.on('request', (request) => {
    const address = request.url();
    if (!address.startsWith(server.url) && !/^(blob|data):/.test(address)) outside.push(address);
  });
  if (options.initScript) await context.addInitScript(options.initScript);
  const page = await context.newPage();
  await page.goto(server.url + (options.path ?? ''));
  return {
    url: server.url,
    page,
    context,
    browser,
    server,
    complaints,
    outside,
    async close() {
      await browser.close();
      await server.close();
    },
  };
}
