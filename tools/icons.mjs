// Draws the PNG icons of the manifest from static/icons/terrarium.svg, in Chromium. Run after changing the SVG.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { chromium } from 'playwright-core';
import { CHROMIUM_FLAGS, ensureChromium } from './lib/chromium.mjs';
import { ROOT } from './lib/setup.mjs';

const folder = join(ROOT, 'static/icons');
const svg = readFileSync(join(folder, 'terrarium.svg'), 'utf8');
const browser = await chromium.launch({ executablePath: ensureChromium(), args: CHROMIUM_FLAGS });
for (const size of [192, 512]) {
  const page = await browser.newPage({ viewport: { width: size, height: size } });
  await page.setContent(
    `<style>*{margin:0}svg{display:block;width:100vw;height:100vh}</style>${svg}`,
  );
  await page.screenshot({ path: join(folder, `terrarium-${size}.png`) });
}
await browser.close();
