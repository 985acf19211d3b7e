/**
 * Hostile files through the real file input of the built studio: refused in words while the page goes on drawing, with
 * nothing written, nothing run and nothing asked; and a good file is read afterwards as if they had never been there.
 */
import { mkdtemp, open, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openProber } from '../../tools/lib/prober.mjs';
import { ROOT } from '../../tools/lib/setup.mjs';
import { zipOf } from '../support/fuzz/seeds';
import type { Opened } from '../support/studio';
import { openStudio } from '../support/studio';

const CORPUS = join(ROOT, 'tests', 'fixtures', 'hostile');

let studio: Opened;
let page: Page;
let folder: string;
let dialogs = 0;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'terrarium-hostile-'));
  studio = await openStudio({
    context: { serviceWorkers: 'block' },
    // Every frame that is drawn is counted.
    initScript: `window.drawn = 0; requestAnimationFrame(function frame() { window.drawn++; requestAnimationFrame(frame); });`,
  });
  page = studio.page;
  page.on('dialog', (dialog) => {
    dialogs++;
    void dialog.dismiss();
  });
  await home();
  // The databases are made when the store is first asked.
  while (Object.keys(await stored()).length < 6) await page.waitForTimeout(100);
}, 180_000);

afterAll(async () => {
  await studio.close();
  await rm(folder, { recursive: true, force: true });
});

async function home(): Promise<void> {
  await page.goto(`${studio.url}#/`);
  await page.getByRole('heading', { name: 'What should your computer learn?' }).waitFor();
}

/** As a person chooses it. */
async function choose(path: string): Promise<void> {
  await page.locator('input[type=file][accept*=".terrarium"]').setInputFiles(path);
}

const frames = (): Promise<number> => page.evaluate(() => Number(Reflect.get(window, 'drawn')));

/** Records of what a person has, by store; settings and caches may come and go. */
function stored(): Promise<Record<string, number>> {
  return page.evaluate(async () => {
    const kept =
      /^(datasets|projects|runs|models|evaluations|chunks|pretrained|checkpoints|imports|sealed)$/;
    const asked = <T>(request: IDBRequest<T>): Promise<T> =>
      new Promise((resolve, reject) => {
        request.onsuccess = () => resolve(request.result);
        request.onerror = () => reject(request.error ?? new Error('no answer'));
      });
    const counts: Record<string, number> = {};
    for (const { name = '' } of await indexedDB.databases()) {
      const database = await asked(indexedDB.open(name));
      for (const store of [...database.objectStoreNames].filter((each) => kept.test(each))) {
        const table = database.transaction(store).objectStore(store);
        counts[`${name}/${store}`] = await asked(table.count());
      }
      database.close();
    }
    return counts;
  });
}

const REFUSED: readonly (readonly [file: string, says: RegExp])[] = [
  ['tables/short-rows.csv', /9000 columns and the rows 1 cells/],
  ['tables/open-quote.csv', /Line 2, column 2: a quotation mark opens here/],
  ['tables/late-zero.csv', /binary file/],
  ['tables/pickle.csv', /Python pickle/],
  ['tables/page.csv', /web page, not a table/],
  ['models/weights.pt', /looks like a model or its weights/],
  ['zips/overlapping.zip', /share the same bytes/],
  ['zips/slip.zip', /There is no picture here/],
];

describe('hostile files on the built studio', () => {
  it('are refused in words, with nothing written', async () => {
    const before = await stored();
    for (const [file, says] of REFUSED) {
      await home();
      await choose(join(CORPUS, file));
      const alert = page.getByRole('alert').filter({ hasText: says });
      await alert
        .first()
        .waitFor({ timeout: 60_000 })
        .catch(async () => {
          throw new Error(`${file}: ${await page.locator('main').innerText()}`);
        });
    }
    expect(await stored()).toEqual(before);
    expect(await page.evaluate(() => Reflect.get(window, 'pwned'))).toBeUndefined();
    expect(dialogs).toBe(0);
  });

  it('pictures that are bombs or programs are left out with their reasons', async () => {
    await home();
    const before = await stored();
    const pictures = ['bomb.png', 'drawing.svg', 'large-frame.gif', 'page-as.gif'];
    const files: Record<string, Uint8Array> = {};
    for (const [index, name] of pictures.entries()) {
      files[`${index % 2 === 0 ? 'cat' : 'dog'}/${name}`] = await readFile(
        join(CORPUS, 'pictures', name),
      );
    }
    const path = join(folder, 'pictures.zip');
    await writeFile(path, zipOf(files));
    await choose(path);
    await page.getByRole('button', { name: 'Read 4 pictures' }).click();
    const alert = page.getByRole('alert').filter({ hasText: 'None of the 4 files could be used.' });
    await alert.waitFor({ timeout: 60_000 });
    expect(await alert.innerText()).toMatch(/30000 × 30000 pixels[^]*65535 × 65535 pixels/);
    expect(await stored()).toEqual(before);
    expect(await page.evaluate(() => Reflect.get(window, 'pwned'))).toBeUndefined();
  });

  it('a huge one is read with the page drawing on, and cancelling ends it with nothing kept', async () => {
    await home();
    const before = await stored();
    const path = join(folder, 'huge.csv');
    const file = await open(path, 'w');
    await file.write('a,b,c\n');
    const rows = Buffer.from('1.5,some text of a row,-3\n'.repeat(400_000));
    for (let piece = 0; piece < 15; piece++) await file.write(rows);
    await file.close();
    await choose(path);
    const cancel = page.getByRole('button', { name: 'Cancel' });
    await cancel.waitFor();
    const start = await frames();
    // A page that is blocked draws nothing: twenty frames while the file is still being read.
    await expect
      .poll(async () => (await frames()) - start, { timeout: 60_000 })
      .toBeGreaterThan(20);
    expect(await page.getByRole('progressbar').count()).toBe(1);
    await cancel.click();
    await page.getByRole('progressbar').waitFor({ state: 'detached' });
    expect(await stored()).toEqual(before);
    expect(await page.getByRole('alert').count()).toBe(0);
  });

  it('a good file is read afterwards, and labels made of markup are only text', async () => {
    await home();
    const label = '<img src=x onerror="window.pwned=1">';
    const lines = Array.from({ length: 60 }, (_, i) => {
      const name =
        i % 2 === 0 ? `"${label.replaceAll('"', '""')}"` : '<script>window.pwned=1</script>';
      return `${i % 7},${(i * 5) % 11},${name}`;
    });
    const path = join(folder, 'labels.csv');
    await writeFile(path, `__proto__,"<b onclick=alert(1)>size</b>",label\n${lines.join('\n')}\n`);
    await choose(path);
    await page.waitForURL(/#\/p\/[\w-]+\/goal/, { timeout: 60_000 });
    await page.goto(page.url().replace(/\/goal.*$/, '/data'));
    await page.getByText('<b onclick=alert(1)>size</b>').first().waitFor();
    await page.getByText(label).first().waitFor();
    expect(await page.locator('b[onclick], img[onerror]').count()).toBe(0);
    expect(await page.evaluate(() => Reflect.get(window, 'pwned'))).toBeUndefined();
    expect(dialogs).toBe(0);
    expect(await page.evaluate(() => Reflect.get({}, 'polluted'))).toBeUndefined();
  });

  it('probing tells what each was taken for, its verdict and what it cost', async () => {
    const prober = await openProber();
    try {
      const probed = async (path: string) => prober.probe(join(ROOT, 'tests', 'fixtures', path));
      expect(await probed('hostile/onnx/passwd.onnx')).toMatchObject({
        ...{ takenFor: 'model', verdict: 'refused', code: 'onnx/external-data' },
        peakBytes: expect.any(Number) as number,
      });
      expect(await probed('hostile/pictures/bomb.png')).toMatchObject({
        ...{ takenFor: 'picture', verdict: 'refused', code: 'data/picture-too-large' },
      });
      expect(await probed('exported/mobilenet.onnx')).toMatchObject({
        ...{ takenFor: 'model', verdict: 'accepted', facts: { weights: 899 } },
      });
      expect(await probed('hostile/tables/inherited-names.csv')).toMatchObject({
        ...{ takenFor: 'table', verdict: 'accepted', facts: { rows: 3, columns: 5 } },
      });
      expect(await probed('hostile/models/lambda')).toMatchObject({
        ...{ takenFor: 'model', verdict: 'refused', code: 'import/keras-file' },
      });
    } finally {
      await prober.close();
    }
  });
});
