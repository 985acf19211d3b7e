/**
 * A browser of our own on a profile that outlives it, so that it can be killed as a crash would and started again.
 * Only what a test spawned is ever killed, by its process id.
 */
import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { chromium } from 'playwright-core';
import type { Browser, BrowserContext, CDPSession, Page } from 'playwright-core';
import { CHROMIUM_FLAGS, ensureChromium } from '../../tools/lib/chromium.mjs';

export interface OwnBrowser {
  readonly browser: Browser;
  readonly context: BrowserContext;
  readonly page: Page;
  /** Commands to the browser itself: `Browser.crashGpuProcess` and the like. */
  readonly cdp: CDPSession;
  /** SIGKILL, and waits until it is gone. */
  kill(): Promise<void>;
  /** The orderly end. */
  close(): Promise<void>;
}

export function newProfile(): Promise<string> {
  return mkdtemp(join(tmpdir(), 'terrarium-profile-'));
}

export function removeProfile(profile: string): Promise<void> {
  return rm(profile, { recursive: true, force: true, maxRetries: 5 });
}

export async function startBrowser(
  profile: string,
  flags: readonly string[] = [],
): Promise<OwnBrowser> {
  await rm(join(profile, 'DevToolsActivePort'), { force: true });
  const child = spawn(
    ensureChromium(),
    [
      ...CHROMIUM_FLAGS,
      '--headless=new',
      '--remote-debugging-port=0',
      `--user-data-dir=${profile}`,
      '--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE localhost',
      ...flags,
      'about:blank',
    ],
    { stdio: 'ignore' },
  );
  const port = await debuggingPort(profile);
  const browser = await chromium.connectOverCDP(`http://127.0.0.1:${port}`);
  const context = browser.contexts()[0];
  if (!context) throw new Error('The browser has no context.');
  const page = context.pages()[0] ?? (await context.newPage());
  const cdp = await browser.newBrowserCDPSession();
  return {
    browser,
    context,
    page,
    cdp,
    kill: () => ended(child, 'SIGKILL'),
    close: () => ended(child, 'SIGTERM'),
  };
}

async function ended(child: ChildProcess, signal: 'SIGKILL' | 'SIGTERM'): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const gone = new Promise((resolve) => child.once('exit', resolve));
  child.kill(signal);
  await gone;
}

async function debuggingPort(profile: string): Promise<string> {
  for (let attempt = 0; attempt < 300; attempt++) {
    const text = await readFile(join(profile, 'DevToolsActivePort'), 'utf8').catch(() => '');
    const [port] = text.split('\n');
    if (port) return port;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  throw new Error('Chromium did not start within 30 s.');
}
