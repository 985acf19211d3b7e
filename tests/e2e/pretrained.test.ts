/**
 * The thread that a person feels: a folder of pictures, a body that has learned elsewhere, a new head in seconds, an
 * ordinary file at the end; and what happens to a model that cannot be taught.
 */
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { InferenceSession, Tensor } from 'onnxruntime-node';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { buildBlueprint } from '../../src/blueprints/build';
import { PhiloxStream } from '../../src/core/philox';
import { writeSafetensors } from '../../src/importers/safetensors';
import { GraphBuilder } from '../../src/onnx/builder';
import { writeModel } from '../../src/onnx/writer';
import { BLUEPRINTS } from '../../src/services/defaults';
import { png } from '../support/png';
import { openStudio } from '../support/studio';
import type { Opened } from '../support/studio';

const SIDE = 32;
const EACH = 16;
let folder: string;
let studio: Opened | undefined;

/** Stripes across, stripes down, and spots, each in colours of its own. */
async function drawPictures(into: string): Promise<void> {
  const stream = new PhiloxStream(3, 'pictures');
  const kinds = {
    across: (_: number, y: number, phase: number) => Math.floor((y + phase) / 4) % 2,
    down: (x: number, _: number, phase: number) => Math.floor((x + phase) / 4) % 2,
    spots: (x: number, y: number, phase: number) =>
      (x + phase) % 12 < 5 && (y + phase) % 12 < 5 ? 1 : 0,
  };
  for (const [name, on] of Object.entries(kinds)) {
    await mkdir(join(into, name), { recursive: true });
    for (let index = 0; index < EACH; index++) {
      const phase = Math.floor(stream.uniform() * 12);
      const ink = [0, 1, 2].map(() => Math.floor(stream.uniform() * 120));
      const picture = png(SIDE, (x, y) => (on(x, y, phase) ? ink : [235, 235, 235]));
      await writeFile(join(into, name, `${index}.png`), picture);
    }
  }
}

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'terrarium-pretrained-'));
  await drawPictures(join(folder, 'shapes'));
});
afterAll(() => rm(folder, { recursive: true }));
afterEach(async () => {
  await studio?.close();
  studio = undefined;
});

/** Brings the folder in and opens the Model screen of its project. */
async function modelScreen(serviceWorkers: 'allow' | 'block' = 'block'): Promise<Opened['page']> {
  studio = await openStudio({ path: '#/new/pictures', context: { serviceWorkers } });
  // The first visit may reload by itself when the service worker takes over.
  const offline = studio.page.getByRole('button', { name: /Works offline/ });
  if (serviceWorkers === 'allow') await offline.waitFor({ timeout: 120_000 });
  const { page } = studio;
  await page.locator('input[webkitdirectory]').setInputFiles(join(folder, 'shapes'));
  await page.getByRole('button', { name: `Read ${3 * EACH} pictures` }).click();
  await page
    .getByText(`${3 * EACH} pictures of`)
    .first()
    .waitFor();
  await page.goto(page.url().replace(/[a-z]+$/, 'model'));
  await page.getByRole('radio', { name: /^Pretrained/ }).check();
  return page;
}

describe('a pretrained body', () => {
  it('learns a new head from a folder of pictures and leaves an ordinary file', async () => {
    const page = await modelScreen();
    await page.getByRole('button', { name: 'Start from EfficientNet-Lite0' }).click();
    // 1,280 features and 3 classes.
    await expect
      .poll(() => page.getByTestId('learning-line').textContent(), { timeout: 30_000 })
      .toContain('3,843 of');
    await page.getByRole('radio', { name: /^LoRA/ }).check();
    await expect.poll(() => page.getByTestId('learning-line').textContent()).not.toContain('3,843');
    await page.getByRole('radio', { name: /^New head only/ }).check();
    await page.getByRole('combobox', { name: 'Size of pictures for the body' }).selectOption('96');
    await page.getByRole('link', { name: 'Train it' }).click();
    await page.getByRole('button', { name: 'Train', exact: true }).first().click();
    await page.getByText(/^Right on \d+ of/).waitFor({ timeout: 180_000 });
    await page.getByText('Numbers that learn').waitFor();
    await page.goto(page.url().replace(/[a-z]+$/, 'versions'));
    await page.getByText('taught from EfficientNet-Lite0').first().waitFor();
    const [saved] = await Promise.all([
      page.waitForEvent('download'),
      page.getByRole('button', { name: 'Download .onnx' }).first().click(),
    ]);
    const session = await InferenceSession.create(await readFile(await saved.path()));
    const across = new Uint8Array(3 * SIDE * SIDE).map((_, at) =>
      Math.floor((Math.floor(at / SIDE) % SIDE) / 4) % 2 ? 60 : 235,
    );
    const image = new Tensor('uint8', across, [1, 3, SIDE, SIDE]);
    const { probabilities } = await session.run({ image });
    expect(Number(probabilities?.data[0])).toBeGreaterThan(0.6);
    expect(studio?.outside).toEqual([]);
    expect(studio?.complaints.filter((line) => !line.includes('Service Worker'))).toEqual([]);
  });

  it('that was used once is there with the server stopped', async () => {
    const page = await modelScreen('allow');
    await page.getByRole('button', { name: 'Start from EfficientNet-Lite0' }).click();
    await page.getByTestId('learning-line').waitFor({ timeout: 60_000 });
    await studio?.server.close();
    await page.reload();
    await page.getByTestId('learning-line').waitFor({ timeout: 60_000 });
  });

  it('is weights alone, read into the model that is set up here; what a pixel becomes can be chosen', async () => {
    const page = await modelScreen();
    await page.getByRole('radio', { name: /^CNN/ }).check();
    const options = { featureDims: [3, SIDE, SIDE], outputs: 7, seed: 4 };
    const { initializers } = buildBlueprint(BLUEPRINTS.cnn, options);
    const tensors = new Map([...initializers].filter(([name]) => name.includes('.')));
    const fits = join(folder, 'seven.safetensors');
    await writeFile(fits, writeSafetensors({ tensors, metadata: new Map() }));
    const wrong = join(folder, 'wrong.safetensors');
    tensors.set('block2.conv.weight', { dtype: 'float32', dims: [1], data: new Float32Array(1) });
    await writeFile(wrong, writeSafetensors({ tensors, metadata: new Map() }));
    await page.getByRole('radio', { name: /^Pretrained/ }).check();
    await page.locator('input[accept*=".safetensors"]').setInputFiles(wrong);
    await page.getByText('"block2.conv.weight" needs [32, 16, 3, 3]').waitFor();
    await page.locator('input[accept*=".safetensors"]').setInputFiles(fits);
    await page.getByTestId('learning-line').waitFor();
    await page.getByText('7 answers out of 64 features').waitFor({ state: 'attached' });
    const pixel = page.getByRole('combobox', { name: 'What a pixel becomes' });
    const chosen = () => pixel.locator('option:checked').textContent();
    expect(await chosen()).toBe('0 to 1');
    await pixel.selectOption({ label: '−1 to 1' });
    await expect.poll(chosen).toBe('−1 to 1');
    await page.reload();
    await pixel.waitFor();
    expect(await chosen()).toBe('−1 to 1');
  });

  it('that ends with no classifier is refused with the reason, and kept as it is', async () => {
    const builder = new GraphBuilder('map');
    const x = builder.input('image', 'float32', ['batch', 3, SIDE, SIDE]);
    const level = builder.node('Mul', [x, builder.scalar(0.5)]);
    builder.output(level, 'float32', ['batch', 3, SIDE, SIDE]);
    const file = join(folder, 'map.onnx');
    await writeFile(file, writeModel(builder.build()));
    const page = await modelScreen();
    await page.locator('input[accept*=".onnx"]').setInputFiles(file);
    await page.getByText('map cannot be taught with this data.').waitFor();
    await page.getByText('It ends with neither a classifier nor a row of features.').waitFor();
    await page.locator('input[accept*=".onnx"]').setInputFiles(join(folder, 'shapes/down/0.png'));
    await page.getByText(/There is no model among what was chosen/).waitFor();
  });
});
