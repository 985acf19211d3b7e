import { InferenceSession, Tensor } from 'onnxruntime-node';
import { beforeAll, describe, expect, it } from 'vitest';
import { preprocessDigit } from '../../src/core/digit-preprocess';
import type { JobReport } from '../../src/services/job';
import { openJobRunner } from '../../tools/lib/job-runner.mjs';
import { ensureBuilt } from '../../tools/lib/setup.mjs';
import { drawnDigit, embeddedDigits } from '../support/digits';
import type { LabelledDigit } from '../support/digits';

/** The floors of the digits CNN as it comes, on one training; its sealed part is drawn again on a large paper. */
let report: JobReport;
let model: Uint8Array;
let predictions: string;

beforeAll(async () => {
  ensureBuilt();
  const runner = await openJobRunner();
  try {
    const job = {
      format: 1,
      data: { embedded: 'digits' },
      compression: 'int8-static',
      seed: 1,
    };
    const result = await runner.run(job, null);
    report = result.report;
    model = new Uint8Array(result.model);
    predictions = result.predictions;
  } finally {
    await runner.close();
  }
}, 240_000);

describe('the digits CNN as it comes', () => {
  it('is right on 97.5 % of 1,500 sealed digits', () => {
    const { test } = report.model;
    if (test.task !== 'classification') throw new Error('Not a classification.');
    expect(test.total).toBe(1500);
    expect(test.accuracy.value).toBeGreaterThanOrEqual(0.975);
  });

  it('loses at most 1 point as int8, in at most 35 % of the bytes', () => {
    const { compressed, compressionLoss } = report;
    if (!compressed || !compressionLoss) throw new Error('It was not compressed.');
    const share = compressed.bytes / report.model.bytes;
    console.log(
      `Int8 file ${(share * 100).toFixed(1)} %, loss at most ${compressionLoss.loss.high}.`,
    );
    expect(share).toBeLessThanOrEqual(0.35);
    expect(compressionLoss.loss.high).toBeLessThanOrEqual(0.01);
  });
});

describe('a digit drawn small or large and out of the middle', () => {
  let session: InferenceSession;
  let sealed: readonly LabelledDigit[];

  beforeAll(async () => {
    session = await InferenceSession.create(model);
    const digits = await embeddedDigits();
    const rows = predictions
      .trimEnd()
      .split('\r\n')
      .slice(1)
      .map((line) => Number(line.split(',')[0]));
    sealed = rows.flatMap((row) => digits[row] ?? []);
  });

  async function accuracy(pictures: readonly Uint8Array[]): Promise<number> {
    const bytes = new Uint8Array(pictures.length * 784);
    pictures.forEach((picture, row) => bytes.set(picture, row * 784));
    const image = new Tensor('uint8', bytes, [pictures.length, 1, 28, 28]);
    const { probabilities } = await session.run({ image });
    const values = probabilities?.data as Float32Array;
    const right = sealed.filter(({ label }, row) => {
      const shares = [...values.subarray(row * 10, row * 10 + 10)];
      return shares.indexOf(Math.max(...shares)) === label;
    });
    return right.length / sealed.length;
  }

  it('is read at most 2 points worse than the plain digit', async () => {
    expect(sealed).toHaveLength(1500);
    const plain = await accuracy(sealed.map(({ pixels }) => pixels));
    // A cell of 7 pixels: at 1.4 times its size and 6 of its pixels aside, a digit just fits on the Try paper.
    const drawn = await accuracy(
      sealed.map(({ pixels }, row) => {
        const scale = 0.6 + (0.8 * ((row * 7) % 100)) / 99;
        const shift = [row & 1 ? 6 : -6, row & 2 ? 6 : -6] as const;
        return preprocessDigit(drawnDigit(pixels, { side: 280, cell: 7, scale, shift }));
      }),
    );
    console.log(`Plain ${(plain * 100).toFixed(2)} %, drawn ${(drawn * 100).toFixed(2)} %.`);
    expect(drawn).toBeGreaterThanOrEqual(plain - 0.02);
  });
});
