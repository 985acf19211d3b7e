import { describe, expect, it } from 'vitest';
import { comparePaired } from '../../../src/evaluation/compare';
import { judgeGate } from '../../../src/evaluation/gates';
import { permutationImportance } from '../../../src/evaluation/importance';
import { atThreshold, predictionsOfClass } from '../../../src/evaluation/threshold';
import { classificationReport } from '../../../src/evaluation/classification';
import { regressionReport } from '../../../src/evaluation/regression';
import { PhiloxStream } from '../../../src/core/philox';
import type { Gate, PredictionRow } from '../../../src/protocol/entities';

const rowOf = (row: number, actual: number, predicted: number): PredictionRow => ({
  row,
  actual,
  predicted,
  probabilities: predicted === 1 ? [0.3, 0.7] : [0.6, 0.4],
});
const latency = { medianMs: 4, p95Ms: 9, rowsPerSecond: 1000, provider: 'test' };

describe('paired comparison', () => {
  it('gives the Bonett-Price interval', () => {
    // 30 rows, 8 right only by a, 2 right only by b, 20 by both.
    const a = Array.from({ length: 30 }, (_, row) => rowOf(row, 1, row < 28 ? 1 : 0));
    const b = Array.from({ length: 30 }, (_, row) => rowOf(row, 1, row < 8 ? 0 : 1));
    const compared = comparePaired(a, b, 'classification');
    const [p, q] = [9 / 32, 3 / 32];
    const spread = 1.959963984540054 * Math.sqrt((p + q - (p - q) ** 2) / 32);
    expect(compared).toMatchObject({ rows: 30, onlyARight: 8, onlyBRight: 2 });
    expect(compared.loss.value).toBeCloseTo(0.2, 12);
    expect(compared.loss.low).toBeCloseTo(p - q - spread, 12);
    expect(compared.loss.high).toBeCloseTo(p - q + spread, 12);
  });

  it('covers the true difference about 95 times in 100', () => {
    const stream = new PhiloxStream(5, 'coverage');
    let covered = 0;
    const trials = 300;
    for (let trial = 0; trial < trials; trial++) {
      const a: PredictionRow[] = [];
      const b: PredictionRow[] = [];
      for (let row = 0; row < 100; row++) {
        const u = stream.uniform();
        // P(only a right) 0.10, P(only b right) 0.04: the true loss is 0.06.
        a.push(rowOf(row, 1, u < 0.9 ? 1 : 0));
        b.push(rowOf(row, 1, u < 0.8 || (u >= 0.9 && u < 0.94) ? 1 : 0));
      }
      const { low, high } = comparePaired(a, b, 'classification').loss;
      if (low <= 0.06 && 0.06 <= high) covered++;
    }
    expect(covered / trials).toBeGreaterThan(0.92);
    expect(covered / trials).toBeLessThan(0.995);
  });

  it('finds a rise of RMSE, and repeats itself', () => {
    const stream = new PhiloxStream(1, 'rmse');
    const a: PredictionRow[] = [];
    const b: PredictionRow[] = [];
    for (let row = 0; row < 200; row++) {
      const noise = stream.normal();
      a.push({ row, actual: row, predicted: row + noise, probabilities: [] });
      b.push({ row, actual: row, predicted: row + noise * 1.5, probabilities: [] });
    }
    const compared = comparePaired(a, b, 'regression');
    expect(compared.loss.low).toBeGreaterThan(0.3);
    expect(compared.loss.value).toBeGreaterThan(compared.loss.low);
    expect(compared.loss.value).toBeLessThan(compared.loss.high);
    expect(comparePaired(a, b, 'regression')).toEqual(compared);
  });

  it('refuses different rows', () => {
    expect(() => comparePaired([rowOf(1, 1, 1)], [rowOf(2, 1, 1)], 'classification')).toThrow(
      expect.objectContaining({ code: 'compare/different-rows' }),
    );
  });
});

describe('gates', () => {
  const judge = (right: number, total: number, gate: Gate) => {
    const rows = Array.from({ length: total }, (_, row) =>
      rowOf(row, row % 2, row < right ? row % 2 : 1 - (row % 2)),
    );
    return judgeGate(gate, {
      report: classificationReport(rows, ['a', 'b'], 0),
      latency,
      bytes: 900,
    });
  };
  const accuracy: Gate = { kind: 'metric', metric: 'accuracy', threshold: 0.9 };

  it('is decided only when the interval lies on one side', () => {
    expect(judge(52, 52, accuracy)).toBe('met');
    expect(judge(50, 52, accuracy)).toBe('too-few');
    expect(judge(960, 1000, accuracy)).toBe('met');
    expect(judge(30, 52, accuracy)).toBe('not-met');
  });

  it('turns round for errors, and reads size and latency as they are', () => {
    const rows = Array.from({ length: 400 }, (_, row) => ({
      row,
      actual: row,
      predicted: row + (row % 3) - 1,
      probabilities: [],
    }));
    const judged = { report: regressionReport(rows, 0), latency, bytes: 900 };
    expect(judgeGate({ kind: 'metric', metric: 'rmse', threshold: 1 }, judged)).toBe('met');
    expect(judgeGate({ kind: 'metric', metric: 'rmse', threshold: 0.5 }, judged)).toBe('not-met');
    expect(judgeGate({ kind: 'metric', metric: 'r2', threshold: 0.9 }, judged)).toBe('met');
    expect(judgeGate(accuracy, judged)).toBe('too-few');
    expect(judgeGate({ kind: 'size', threshold: 900 }, judged)).toBe('met');
    expect(judgeGate({ kind: 'size', threshold: 899 }, judged)).toBe('not-met');
    expect(judgeGate({ kind: 'latency', threshold: 3.9 }, judged)).toBe('not-met');
  });
});

describe('threshold', () => {
  it('moves every figure together, and ties count as positive', () => {
    const rows = predictionsOfClass(
      [rowOf(0, 1, 1), rowOf(1, 1, 0), rowOf(2, 0, 1), rowOf(3, 0, 0)],
      1,
    );
    expect(atThreshold(rows, 0.7)).toEqual({
      truePositives: 1,
      falsePositives: 1,
      falseNegatives: 1,
      trueNegatives: 1,
      precision: 0.5,
      recall: 0.5,
      falsePositiveRate: 0.5,
      f1: 0.5,
      accuracy: 0.5,
    });
    expect(atThreshold(rows, 0.71)).toMatchObject({ truePositives: 0, precision: 1, recall: 0 });
    expect(atThreshold(rows, 0)).toMatchObject({ truePositives: 2, falsePositives: 2 });
  });
});

describe('permutation importance', () => {
  it('finds the column that decides, and nothing in the one that does not', async () => {
    const rows = 300;
    const stream = new PhiloxStream(2, 'importance');
    const columns = [0, 1].map(() => Float64Array.from({ length: rows }, () => stream.normal()));
    const truth = Float64Array.from(columns[0] ?? [], (value) => (value > 0 ? 1 : 0));
    const report = await permutationImportance({
      task: 'classification',
      rows,
      columns: ['decides', 'noise'],
      truth,
      seed: 9,
      repeats: 5,
      predict: (permuted) => {
        const decides = columns[0] ?? new Float64Array();
        const order = permuted?.column === 0 ? permuted.order : null;
        return Promise.resolve(
          decides.map((_, row) => ((decides[order?.[row] ?? row] ?? 0) > 0 ? 1 : 0)),
        );
      },
    });
    expect(report.baseline).toBe(1);
    expect(report.features.map(({ column }) => column)).toEqual(['decides', 'noise']);
    const [decides, noise] = report.features;
    expect(decides?.drop.low).toBeGreaterThan(0.4);
    expect(decides?.drop.high).toBeLessThan(0.6);
    expect(noise?.drop).toEqual({ value: 0, low: 0, high: 0 });
  });
});
