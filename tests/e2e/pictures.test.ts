/**
 * Pictures of one's own, as a person brings them: a folder, and a camera that plays a film made here. Classes are recorded
 * by holding a button, a model learns them, and live bars follow what the camera sees.
 */
import { mkdtemp, open, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { openStudio } from '../support/studio';
import type { Opened } from '../support/studio';

const FIXTURES = join(import.meta.dirname, '../fixtures/pictures');
const [WIDTH, HEIGHT] = [160, 120];
/** Frames of each scene; the film is played round and round, ten a second. */
const SCENE = 50;
let folder: string;
let film: string;
let studio: Opened | undefined;

/** One frame in YUV 4:2:0: `light` by column, one hue for all. */
function frame(light: (x: number) => number, u: number, v: number): Buffer {
  const plane = Buffer.alloc(WIDTH * HEIGHT);
  for (let at = 0; at < plane.length; at++) plane[at] = light(at % WIDTH);
  const quarter = (WIDTH * HEIGHT) / 4;
  return Buffer.concat([
    Buffer.from('FRAME\n'),
    plane,
    Buffer.alloc(quarter, u),
    Buffer.alloc(quarter, v),
  ]);
}

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'terrarium-film-'));
  film = join(folder, 'film.y4m');
  const file = await open(film, 'w');
  await file.write(`YUV4MPEG2 W${WIDTH} H${HEIGHT} F10:1 Ip A1:1 C420jpeg\n`);
  const red = frame(() => 110, 90, 220);
  const striped = frame((x) => (Math.floor(x / 10) % 2 ? 40 : 210), 200, 110);
  for (const scene of [red, striped]) {
    for (let count = 0; count < SCENE; count++) await file.write(scene);
  }
  await file.close();
});
afterAll(() => rm(folder, { recursive: true }));
afterEach(async () => {
  await studio?.close();
  studio = undefined;
});

/** The red of the middle of what the camera shows, 0 to 255: which scene it is. */
function redness(page: Opened['page']): Promise<number> {
  return page.locator('video').evaluate((video: HTMLVideoElement) => {
    const canvas = document.createElement('canvas');
    canvas.width = canvas.height = 1;
    const context = canvas.getContext('2d');
    context?.drawImage(video, 0, 0, 1, 1);
    const [red = 0, , blue = 0] = context?.getImageData(0, 0, 1, 1).data ?? [];
    return red - blue;
  });
}

async function waitForScene(page: Opened['page'], scene: 'red' | 'striped'): Promise<void> {
  await expect
    .poll(async () => ((await redness(page)) > 60 ? 'red' : 'striped'), { timeout: 15_000 })
    .toBe(scene);
}

describe('a folder of pictures', () => {
  it('is looked through, read, and shown with what was left out', async () => {
    studio = await openStudio({ path: '#/new/pictures', context: { serviceWorkers: 'block' } });
    const { page, complaints } = studio;
    await page.locator('input[type=file]').nth(1).setInputFiles(join(FIXTURES, 'zips/good.zip'));
    await page.getByRole('button', { name: 'Read 12 pictures' }).click();
    await page.getByText('good · 12 pictures of 32 × 32').waitFor();
    await page.getByRole('button', { name: 'cat 6' }).click();
    await page.getByText('6 rows shown').waitFor();
    await page.getByRole('button', { name: /^Row 1: cat/ }).press('ArrowRight');
    await page.keyboard.press('Enter');
    await page.getByRole('dialog').getByText('Row 2: cat').waitFor();
    await page.keyboard.press('Escape');
    await page.getByText(/1 file was left out.*notes\.txt/).waitFor();
    // More of them: the next version of the data, and back again.
    await page.getByRole('tab', { name: 'Add pictures' }).click();
    await page.locator('input[type=file]').nth(1).setInputFiles(join(FIXTURES, 'zips/names.zip'));
    await page.getByRole('button', { name: 'Read 12 pictures' }).click();
    await page.getByText('good · 24 pictures of 32 × 32').waitFor();
    await page.getByText(/12 pictures equal another one/).waitFor();
    await page.getByRole('button', { name: /^Undo/ }).click();
    await page.getByText('good · 12 pictures of 32 × 32').waitFor();
    expect(complaints.filter((line) => !line.includes('Service Worker'))).toEqual([]);
  });
});

describe('the camera', () => {
  it('says what is wrong where it is refused', async () => {
    studio = await openStudio({
      path: '#/new/camera',
      context: { serviceWorkers: 'block' },
      flags: ['--use-fake-device-for-media-stream', '--deny-permission-prompts'],
    });
    await studio.page.getByRole('button', { name: 'Switch the camera on' }).click();
    await studio.page.getByText('The camera was refused.').waitFor();
  });

  it('records classes by holding a button; what is learned answers live', async () => {
    studio = await openStudio({
      path: '#/new/camera',
      context: { serviceWorkers: 'block', permissions: ['camera'] },
      flags: [
        '--use-fake-device-for-media-stream',
        '--use-fake-ui-for-media-stream',
        `--use-file-for-fake-video-capture=${film}`,
      ],
    });
    const { page } = studio;
    await page.getByRole('button', { name: 'Switch the camera on' }).click();
    await page.locator('video').waitFor();
    const hold = page.getByRole('button', { name: /^Hold to record/ });
    await waitForScene(page, 'striped');
    await waitForScene(page, 'red');
    const box = await hold.first().boundingBox();
    if (!box) throw new Error('There is no button to hold.');
    await page.mouse.move(box.x + 20, box.y + 20);
    await page.mouse.down();
    await page.waitForTimeout(2500);
    await page.mouse.up();
    await waitForScene(page, 'striped');
    await hold.nth(1).focus();
    await page.keyboard.down(' ');
    await page.waitForTimeout(2500);
    await page.keyboard.up(' ');
    await page.getByRole('button', { name: 'Class 1', exact: true }).press('F2');
    await page.keyboard.type('red');
    await page.keyboard.press('Enter');
    await page.getByRole('button', { name: 'Remove picture 1' }).first().press('Enter');
    const learn = page.getByRole('button', { name: /^Learn from \d+ pictures/ });
    const recorded = Number(/\d+/.exec(await learn.innerText())?.[0]);
    expect(recorded).toBeGreaterThan(20);
    await learn.click();
    await page.getByText(`Camera · ${recorded} pictures of 128 × 128`).waitFor();

    const project = page.url().replace(/\/data$/, '');
    await page.goto(`${project}/train`);
    await page
      .getByRole('button', { name: /^Train/ })
      .first()
      .click();
    // A trained body with a new head: seconds, where a network of its own would take minutes.
    await page.getByText(/Right on \d+ of \d+/).waitFor({ timeout: 120_000 });

    await page.goto(`${project}/try`);
    await page.getByRole('button', { name: 'Switch the camera on' }).click();
    await page.locator('video').waitFor();
    const answer = page.locator('.says');
    for (const scene of ['red', 'striped'] as const) {
      await waitForScene(page, scene);
      const wanted = scene === 'red' ? /red/ : /Class 2/;
      await expect.poll(() => answer.innerText(), { timeout: 4000 }).toMatch(wanted);
    }
    await page.locator('input[type=file]').first().setInputFiles(join(FIXTURES, 'good/wide.png'));
    await page.getByRole('button', { name: 'Switch the camera on' }).waitFor();
    await page
      .locator('input[type=file]')
      .first()
      .setInputFiles(join(FIXTURES, 'malformed/drawing.svg'));
    await page.getByText(/It is a drawing \(SVG\)/).waitFor();
  });
});
