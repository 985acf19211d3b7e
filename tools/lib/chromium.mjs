// Finds the Chromium that tests, jobs and benches drive, and the flags it needs for WebGPU without a GPU.
import { execFileSync } from 'node:child_process';
import { existsSync, readdirSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';

/** Quiet on the network, WebGPU on the software adapter where there is no GPU. Never `--disable-gpu`. */
export const CHROMIUM_FLAGS = [
  '--no-sandbox',
  '--enable-unsafe-webgpu',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
  '--disable-quic',
  '--no-first-run',
];

const SYSTEM_NAMES = ['chromium', 'chromium-browser', 'google-chrome-stable', 'google-chrome'];

/** Path of a Chromium: $CHROMIUM, then the system's, then Playwright's own download; null where there is none. */
export function findChromium() {
  const named = process.env.CHROMIUM;
  if (named) {
    if (!existsSync(named)) throw new Error(`CHROMIUM names ${named}, which does not exist.`);
    return named;
  }
  for (const folder of (process.env.PATH ?? '').split(':')) {
    for (const name of SYSTEM_NAMES) {
      const path = join(folder, name);
      if (folder !== '' && existsSync(path)) return path;
    }
  }
  const applications = [
    '/Applications/Google Chrome.app/Contents/MacOS/Google Chrome',
    '/Applications/Chromium.app/Contents/MacOS/Chromium',
  ];
  return applications.find((path) => existsSync(path)) ?? playwrightChromium();
}

function playwrightChromium() {
  const cache = join(homedir(), '.cache', 'ms-playwright');
  if (!existsSync(cache)) return null;
  const build = readdirSync(cache)
    .filter((name) => /^chromium-\d+$/.test(name))
    .sort()
    .at(-1);
  const path = build && join(cache, build, 'chrome-linux', 'chrome');
  return path && existsSync(path) ? path : null;
}

/** On Debian as root, installs the `chromium` package; elsewhere says what to do. Returns the path. */
export function ensureChromium(log = console.log) {
  const found = findChromium();
  if (found) return found;
  const debian = existsSync('/etc/debian_version') && process.getuid?.() === 0;
  if (debian) {
    log('No Chromium found: installing the chromium package …');
    execFileSync('apt-get', ['update', '-qq'], { stdio: 'inherit' });
    execFileSync('apt-get', ['install', '-y', '-qq', 'chromium'], {
      stdio: ['ignore', 'ignore', 'inherit'],
      env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive' },
    });
    const installed = findChromium();
    if (installed) return installed;
  }
  throw new Error(
    'No Chromium found. Install Chromium or Chrome (Debian: apt-get install chromium), or set CHROMIUM to its path.',
  );
}
