/**
 * The whole way of a person's own table where nothing isolates the page: a host without headers, no service worker
 * that could bring them, and no WebGPU. Then there is no shared memory, and every engine has one thread (fault 17).
 */
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as ort from 'onnxruntime-node';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { clinic } from '../../support/clinic-csv';
import { runsIn } from '../../support/drilled';
import { Journey } from '../../support/journey';
import { playGpu } from '../../support/played-gpu';
import type { Opened } from '../../support/studio';
import { openStudio } from '../../support/studio';

const ROWS = 200;

let studio: Opened;
let journey: Journey;
let folder: string;
let table: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'terrarium-single-thread-'));
  table = join(folder, 'clinic.csv');
  await writeFile(table, clinic(ROWS, 5).csv);
  // Playwright refuses the service worker, as private windows and policies of companies do.
  studio = await openStudio({
    headers: false,
    context: { serviceWorkers: 'block', acceptDownloads: true },
  });
  await playGpu(studio.context, { kind: 'absent' });
  journey = new Journey({ page: studio.page, url: studio.url, folder, patience: 240_000 });
  // Only a page that is loaded now is without WebGPU from its first line.
  await studio.page.reload();
});

afterAll(async () => {
  await studio.close();
  await rm(folder, { recursive: true, force: true });
});

/** What each worker that runs may share, and asks for graphics with. */
async function workers(): Promise<Record<string, string>> {
  const found: Record<string, string> = {};
  for (const worker of studio.page.workers()) {
    const name = /\/([\w-]+)\.worker-/.exec(worker.url())?.[1];
    if (!name) continue;
    found[name] = await worker.evaluate(
      () => `${typeof SharedArrayBuffer}, ${'gpu' in navigator ? 'WebGPU' : 'no WebGPU'}`,
    );
  }
  return found;
}

const ALONE = 'undefined, no WebGPU';

describe('on one thread, where nothing isolates the page', () => {
  it('a table of one’s own is read, a goal is chosen, and a model is trained', async () => {
    const { page } = studio;
    expect(await page.evaluate(() => [crossOriginIsolated, 'gpu' in navigator])).toEqual([
      false,
      false,
    ]);
    await journey.importTable(table);
    await journey.choose('outcome');
    // Three classes, of which the commonest is well under two thirds.
    const [, right = '0', of = '1'] =
      /Right on ([\d,]+) of ([\d,]+)/.exec(await journey.train()) ?? [];
    expect(Number(right) / Number(of)).toBeGreaterThan(2 / 3);
    const trained = (await runsIn(page)).filter(({ role }) => role === 'model');
    expect(trained).toMatchObject([
      { status: 'done', device: { executor: 'wasm', label: 'the processor, 1 thread' } },
    ]);
    expect(await workers()).toMatchObject({ train: ALONE, store: ALONE, data: ALONE });
  });

  it('it is judged on its sealed part and made smaller', async () => {
    await journey.openSeal();
    await journey.quantise();
    expect(await workers()).toMatchObject({ infer: ALONE });
  });

  let answers: string;
  it('it answers a whole file, and leaves as a model that another runtime opens', async () => {
    answers = await journey.answer(table);
    const [header = '', ...rows] = answers.trim().split(/\r?\n/);
    expect(header).toContain('prediction');
    expect(rows).toHaveLength(ROWS);
    const session = await ort.InferenceSession.create(await journey.download('Run 1'));
    expect(session.outputNames).toContain('probabilities');
  });

  it('its project is saved, opened as another, and answers the same', async () => {
    const { project } = journey;
    const path = await journey.saveProject();
    expect((await readFile(path)).subarray(0, 2).toString()).toBe('PK');
    await journey.openProject(path);
    expect(journey.project).not.toBe(project);
    await studio.page.reload();
    expect(await journey.answer(table)).toBe(answers);
  });

  it('nothing went wrong and nobody was asked', () => {
    const heard = studio.complaints.filter(
      (text) => !text.includes('Service Worker registration blocked'),
    );
    expect(heard).toEqual([]);
    expect(studio.outside).toEqual([]);
  });
});
