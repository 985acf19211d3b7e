// The data worker as it ships: a real worker, real parse workers inside it, and the real store.
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Workers } from '../../../src/services/workers';
import { RECIPE, SPLIT, runConfig } from '../../support/run-config';
import type { Progress } from '../../../src/protocol/api';
import type { BatchReply, BatchRequest } from '../../../src/protocol/batches';

const quiet = (): void => undefined;
let workers: Workers;

beforeAll(() => {
  workers = new Workers();
});
afterAll(() => workers.terminate());

function bigTable(rows: number): Blob {
  const parts = ['a;b;c;d;e;f;g;h;colour;note\n'];
  for (let row = 0; row < rows; row++) {
    const n = (row * 7919) % 10_007;
    parts.push(
      `${n},5;${row};${n / 8};0,${n};-${n};${n % 7};${n * 3};${row % 11},25;${['red', 'green', 'blue'][row % 3]};"note ${n}; ""x"""\n`.replaceAll(
        '.',
        ',',
      ),
    );
  }
  return new Blob(parts);
}

/** The longest time for which the page could not run, in milliseconds, while `work` goes on. */
async function longestGap(work: Promise<unknown>): Promise<number> {
  let longest = 0;
  let last = performance.now();
  let done = false;
  const settled = (): void => {
    done = true;
  };
  work.then(settled, settled);
  while (!done) {
    await new Promise((resolve) => setTimeout(resolve, 5));
    longest = Math.max(longest, performance.now() - last);
    last = performance.now();
  }
  return longest;
}

describe('the data worker', () => {
  it('imports 200,000 rows with the page free and progress told', async () => {
    const file = bigTable(200_000);
    const heard: Progress[] = [];
    const started = performance.now();
    const call = workers.data.importTable(
      'big',
      file,
      { name: 'big.csv', kind: 'file' },
      (progress) => heard.push(progress),
    );
    const gap = await longestGap(call);
    const { dataset, understood } = await call;
    const seconds = (performance.now() - started) / 1000;
    console.info(
      `200,000 rows × 10: ${seconds.toFixed(1)} s, longest gap of the page ${gap.toFixed(0)} ms`,
    );
    expect(understood).toEqual([';', 'decimal comma', 'UTF-8']);
    expect(dataset.manifest.rows).toBe(200_000);
    expect(heard.filter(({ unit }) => unit === 'bytes').at(-1)?.done).toBe(file.size);
    // Reading on the page itself would block it for as long as the whole import takes.
    expect(gap).toBeLessThan(400);
    expect(seconds).toBeLessThan(30);
    const page = await workers.data.rows(dataset.id, { offset: 199_999, limit: 5 });
    expect(page.rows[0]?.cells.slice(7)).toEqual([
      '8.25',
      'green',
      expect.stringMatching(/^note \d+; "x"$/),
    ]);
  });

  it('ends the parse worker when cancelled, and keeps nothing', async () => {
    const before = (await workers.store.listDatasets()).length;
    const call = workers.data.importTable(
      'gone',
      bigTable(200_000),
      { name: 'gone.csv', kind: 'file' },
      quiet,
    );
    const failed = call.then(
      () => null,
      (error: unknown) => error,
    );
    await new Promise((resolve) => setTimeout(resolve, 200));
    const asked = performance.now();
    await workers.data.cancel('gone');
    expect(await failed).toMatchObject({ code: 'data/cancelled' });
    expect(performance.now() - asked).toBeLessThan(1000);
    expect((await workers.store.listDatasets()).length).toBe(before);
  });

  it('brings errors across two workers with their code, line and column', async () => {
    const file = new Blob(['a,b\n1,2\n3,"open\n']);
    const call = workers.data.importTable('bad', file, { name: 'bad.csv', kind: 'paste' }, quiet);
    await expect(call).rejects.toMatchObject({
      name: 'AppError',
      code: 'data/unclosed-quote',
      data: { line: 3, column: 2 },
    });
  });

  it('goes from the embedded samples to batches over a port', async () => {
    const { dataset } = await workers.data.importEmbedded('digits', 'digits', quiet);
    const run = runConfig({ datasetId: dataset.id, target: 'label', task: 'classification' });
    expect(run.split).toEqual(SPLIT);
    expect(run.recipe).toEqual(RECIPE);
    const prepared = await workers.data.prepare(run);
    expect(prepared.parts).toEqual({ train: 7000, validation: 1500, test: 1500 });
    const { port1, port2 } = new MessageChannel();
    await workers.data.serveBatches(run, port1);
    const request: BatchRequest = {
      type: 'next',
      part: 'train',
      epoch: 0,
      index: 3,
      recycle: null,
    };
    const reply = await new Promise<BatchReply>((resolve) => {
      port2.onmessage = (event: MessageEvent<BatchReply>) => resolve(event.data);
      port2.postMessage(request);
    });
    if (reply.type !== 'batch') throw new Error('a batch was asked for');
    expect(new Float32Array(reply.features).length).toBe(32 * 784);
    expect(Math.max(...new Float32Array(reply.features))).toBe(1);
    port2.close();
  });

  it('reads a file for prediction in a parse worker', async () => {
    const { dataset } = await workers.data.importEmbedded('penguins', 'penguins', quiet);
    const run = runConfig({ datasetId: dataset.id, target: 'sex', task: 'classification' });
    const { recipe } = await workers.data.prepare(run);
    const header = 'species,island,bill_length_mm,bill_depth_mm,flipper_length_mm,body_mass_g';
    const file = new Blob([`${header}\nAdelie,Dream,39.1,18.7,181,\n`]);
    const read = await workers.data.readForPrediction('predict', file, recipe, quiet);
    expect(read.inputs.map(({ name, dims }) => [name, dims])).toEqual([
      ['numeric', [1, 4]],
      ['categorical', [1, 2]],
    ]);
    expect(read.inputs[0]?.data[3]).toBeNaN();
  });
});
