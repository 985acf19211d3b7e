import { execFile } from 'node:child_process';
import { mkdtemp, readFile, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { InferenceSession, Tensor } from 'onnxruntime-node';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { readModel } from '../../src/onnx/reader';
import type { FittedRecipe } from '../../src/protocol/entities';
import type { JobReport } from '../../src/services/job';
import { clinic } from '../support/clinic-csv';
import type { Clinic } from '../support/clinic-csv';

const TOOL = fileURLToPath(new URL('../../tools/job.mjs', import.meta.url));
const DATA = clinic(400, 11);
let folder = '';

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'terrarium-job-'));
  await writeFile(join(folder, 'clinic.csv'), DATA.csv);
});

afterAll(() => rm(folder, { recursive: true, force: true }));

interface Ran {
  readonly code: number;
  readonly stderr: string;
  readonly out: string;
}

/** Runs the command as a person would. */
async function runJob(name: string, job: unknown, ...more: string[]): Promise<Ran> {
  const path = join(folder, `${name}.json`);
  await writeFile(path, typeof job === 'string' ? job : JSON.stringify(job));
  return new Promise((resolve) => {
    execFile(process.execPath, [TOOL, path, ...more], (error, _, stderr) => {
      const code = error === null ? 0 : Number(error.code);
      resolve({ code, stderr, out: join(folder, `${name}-out`) });
    });
  });
}

const readReport = async (out: string): Promise<JobReport> =>
  JSON.parse(await readFile(join(out, 'report.json'), 'utf8')) as JobReport;

/** As plain bytes: a Buffer's `slice` shares where an array's copies. */
const readBytes = async (path: string): Promise<Uint8Array> => new Uint8Array(await readFile(path));

/** Lines of a CSV without quoted line breaks. */
async function readCsv(path: string): Promise<string[][]> {
  const text = await readFile(path, 'utf8');
  return text
    .trimEnd()
    .split('\r\n')
    .map((line) =>
      [...line.matchAll(/("(?:[^"]|"")*"|[^,]*)(?:,|$)/g)]
        .slice(0, -1)
        .map(([, cell = '']) => cell.replace(/^"|"$/g, '').replaceAll('""', '"')),
    );
}

/** The rows that predictions.csv names, encoded by the recipe inside the file and run by onnxruntime-node. */
async function runInNode(
  model: Uint8Array,
  rows: readonly number[],
  { rows: clinicRows }: Clinic,
): Promise<InferenceSession.OnnxValueMapType> {
  const recipe = JSON.parse(
    readModel(model).metadata.get('terrarium.recipe') ?? '',
  ) as FittedRecipe;
  if (recipe.input.type !== 'table') throw new Error('Not a table.');
  const { numeric, categorical } = recipe.input;
  const cell = (row: number, column: string): unknown =>
    clinicRows[row]?.[column as keyof Clinic['rows'][number]];
  const numbers = rows.flatMap((row) => numeric.map(({ column }) => Number(cell(row, column))));
  const codes = rows.flatMap((row) =>
    categorical.map(({ column, vocabulary }) => {
      const text = String(cell(row, column));
      return text === '' ? 0n : BigInt(vocabulary.indexOf(text) + 2 || 1);
    }),
  );
  const feeds: Record<string, Tensor> = {
    numeric: new Tensor('float32', Float32Array.from(numbers), [rows.length, numeric.length]),
  };
  if (categorical.length > 0) {
    const data = BigInt64Array.from(codes);
    feeds.categorical = new Tensor('int64', data, [rows.length, categorical.length]);
  }
  const session = await InferenceSession.create(model);
  return session.run(feeds);
}

describe('npm run job', () => {
  it.each(['wasm', 'webgpu'] as const)(
    'takes an unseen table to a quantised model on %s that onnxruntime-node agrees with',
    async (executor) => {
      const job = {
        format: 1,
        data: { file: 'clinic.csv' },
        goal: {
          target: 'outcome',
          gates: [
            { kind: 'metric', metric: 'accuracy', threshold: 0.6 },
            { kind: 'size', threshold: 100 },
          ],
        },
        recipe: { use: { days: false } },
        training: { epochs: 12, batchSize: 32 },
        seed: 5,
        executor,
      };
      const traced = join(folder, `${executor}-trace.json`);
      const { code, stderr, out } = await runJob(`classes-${executor}`, job, '--profile', traced);
      expect(stderr).not.toContain('job/');
      expect(code, stderr).toBe(0);
      expect((await readdir(out)).sort()).toEqual([
        'model.int8.onnx',
        'model.onnx',
        'predictions.csv',
        'report.json',
      ]);
      const trace: unknown = JSON.parse(await readFile(traced, 'utf8'));
      expect(trace).toMatchObject({ otherData: { executor }, displayTimeUnit: 'ms' });
      const report = await readReport(out);
      expect(report.device?.executor).toBe(executor);
      expect(report.understood.join(' ')).toContain(';');
      expect(report.testOpened).toBe(1);
      expect(report.baselines).toHaveLength(2);
      expect(report.model.gates.map(({ outcome }) => outcome)).toEqual(['met', 'not-met']);
      expect(report.lineage.dataset).toBe(report.config.datasetId);
      const { test } = report.model;
      if (test.task !== 'classification') throw new Error('Not a classification.');
      const [rule] = report.baselines;
      if (rule?.test.task !== 'classification') throw new Error('No baseline.');
      expect(test.accuracy.value).toBeGreaterThan(rule.test.accuracy.value + 0.15);
      expect(test.accuracy.low).toBeLessThan(test.accuracy.value);

      const [header = [], ...lines] = await readCsv(join(out, 'predictions.csv'));
      // A label that a spreadsheet would run as a formula is neutralised, in cells and in the header.
      expect(header.slice(0, 3)).toEqual(['row', 'actual', 'predicted']);
      expect(lines).toHaveLength(test.total);
      const rows = lines.map(([row]) => Number(row));
      const right = lines.filter(([, actual, predicted]) => actual === predicted).length;
      expect(right).toBe(test.correct);
      lines.forEach(([, actual], i) => {
        expect(actual?.replace(/^'/, '')).toBe(DATA.rows[rows[i] ?? -1]?.outcome);
      });

      const result = await runInNode(await readBytes(join(out, 'model.onnx')), rows, DATA);
      const probabilities = result['probabilities']?.data as Float32Array;
      const shown = lines.flatMap((cells) => cells.slice(3, 6).map(Number));
      expect(shown).toHaveLength(probabilities.length);
      shown.forEach((value, i) => {
        expect(Math.abs(value - (probabilities[i] ?? NaN))).toBeLessThan(1e-4);
      });
      await runInNode(await readBytes(join(out, 'model.int8.onnx')), rows, DATA);
    },
    180_000,
  );

  it('predicts a number, and repeats itself to the last bit', async () => {
    const job = {
      format: 1,
      data: { file: 'clinic.csv' },
      goal: { target: 'days' },
      recipe: { use: { outcome: false } },
      training: { epochs: 10 },
      compression: 'none',
      executor: 'wasm',
    };
    const first = await runJob('days', job);
    expect(first.code, first.stderr).toBe(0);
    const second = await runJob('days-again', job);
    const [report, again] = [await readReport(first.out), await readReport(second.out)];
    expect(report.model.sha256).toBe(again.model.sha256);
    expect(report.curve).toEqual(again.curve);
    const { test } = report.model;
    if (test.task !== 'regression') throw new Error('Not a regression.');
    expect(test.r2.value).toBeGreaterThan(0.8);

    const lines = (await readCsv(join(first.out, 'predictions.csv'))).slice(1);
    const rows = lines.map(([row]) => Number(row));
    const result = await runInNode(await readBytes(join(first.out, 'model.onnx')), rows, DATA);
    const predicted = result['prediction']?.data as Float32Array;
    lines.forEach(([, , value], i) => {
      expect(Math.abs(Number(value) - (predicted[i] ?? NaN))).toBeLessThan(1e-4 * 40);
    });
  }, 180_000);

  it.each([
    ['{"format": 1,', 'is not JSON'],
    [{ format: 1, data: { file: 'absent.csv' } }, 'names the data file absent.csv'],
    [{ format: 1, data: { file: 'clinic.csv' }, trainning: {} }, '"trainning" is not a known key'],
    [
      { format: 1, data: { file: 'clinic.csv' }, goal: { target: 'outcom' } },
      'There is no column "outcom"',
    ],
  ])(
    'refuses %j with a clear sentence',
    async (job, words) => {
      const { code, stderr } = await runJob('wrong', job);
      expect(code).toBe(1);
      expect(stderr).toContain(words);
      expect(stderr).not.toContain('    at ');
    },
    60_000,
  );
});
