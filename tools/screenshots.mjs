// `npm run screenshots`: walks the built studio with its starters and writes the README's pictures to docs/images.
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { chromium } from 'playwright-core';
import { CHROMIUM_FLAGS, ensureChromium } from './lib/chromium.mjs';
import { startServer } from './lib/server.mjs';
import { ensureBuilt, ensureInstalled, ROOT } from './lib/setup.mjs';

ensureInstalled();
ensureBuilt();
const folder = join(ROOT, 'docs/images');
mkdirSync(folder, { recursive: true });

const server = await startServer();
const browser = await chromium.launch({ executablePath: ensureChromium(), args: CHROMIUM_FLAGS });
const context = await browser.newContext({
  viewport: { width: 1360, height: 900 },
  serviceWorkers: 'block',
  reducedMotion: 'reduce',
});
const page = await context.newPage();
await page.goto(server.url);
await shot('home');

const penguins = await train('penguins');
await shot('train');
await page.goto(`${penguins}/data`);
await shot('data');
await page.goto(`${penguins}/model`);
await shot('model');
await page.goto(`${penguins}/evaluate`);
await page.getByRole('button', { name: /^Open the \d+ sealed/ }).click();
await page.getByText(/Opened (once|1 time)/).waitFor();
await page
  .getByText(/^Judging/)
  .first()
  .waitFor({ state: 'hidden', timeout: 60_000 });
await shot('evaluate');

const digits = await train('digits');
await page.emulateMedia({ colorScheme: 'dark' });
await shot('train-digits-dark');
await page.goto(`${digits}/try`);
await draw();
await shot('try-digits-dark');
await page.setViewportSize({ width: 390, height: 844 });
await shot('try-digits-narrow');

await page.setViewportSize({ width: 1360, height: 900 });
await page.emulateMedia({ colorScheme: 'light' });
const emoji = await train('emoji');
await page.goto(`${emoji}/model`);
await page.getByText('What learns').waitFor();
await shot('model-pretrained');
await page.goto(`${emoji}/graph`);
await page.getByText('Numbers in it').waitFor();
await page.getByRole('textbox', { name: 'Find nodes' }).fill('block_05 depthwise conv');
await page.keyboard.press('Enter');
await page.getByRole('heading', { name: 'Inputs' }).waitFor();
await shot('graph');

await browser.close();
await server.close();

/** Starts a starter and waits for its result; returns the project's address. */
async function train(name) {
  await page.goto(`${server.url}#/new/${name}`);
  await page
    .getByText(/Right on [\d,]+ of/)
    .first()
    .waitFor({ timeout: 180_000 });
  return page.url().replace(/\/train$/, '');
}

/** Draws a 3 on the canvas with the mouse. */
async function draw() {
  const box = await page.locator('canvas').first().boundingBox();
  if (!box) throw new Error('The Try screen shows no canvas.');
  const at = (x, y) => [box.x + (x / 28) * box.width, box.y + (y / 28) * box.height];
  const stroke = [
    [9, 8],
    [13, 6],
    [17, 7],
    [18, 10],
    [16, 13],
    [13, 14],
    [17, 15],
    [19, 18],
    [17, 21],
    [13, 22],
    [9, 21],
  ];
  await page.mouse.move(...at(...stroke[0]));
  await page.mouse.down();
  for (const point of stroke) await page.mouse.move(...at(...point), { steps: 6 });
  await page.mouse.up();
}

async function shot(name) {
  await page.locator('h1').first().waitFor();
  // Charts and pictures settle; nothing is measured here.
  await page.waitForTimeout(1500);
  await page.screenshot({ path: join(folder, `${name}.png`) });
  console.log(`docs/images/${name}.png`);
}
