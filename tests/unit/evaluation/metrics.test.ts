// Every figure of a report against scikit-learn's on the same predictions (tools/golden/metrics.py).
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { classificationReport } from '../../../src/evaluation/classification';
import { thin } from '../../../src/evaluation/curves';
import { regressionReport } from '../../../src/evaluation/regression';
import { wilson } from '../../../src/evaluation/intervals';
import type { Estimate, PredictionRow } from '../../../src/protocol/entities';

interface ClassificationGolden {
  classes: string[];
  actual: number[];
  predicted: number[];
  probabilities: number[][];
  accuracy: number[];
  log_loss: number;
  precision: number[];
  recall: number[];
  precision_wilson: number[][];
  recall_wilson: number[][];
  f1: number[];
  support: number[];
  macro: number[];
  confusion: number[][];
  roc: { auc: number; fpr: number[]; tpr: number[]; thresholds: number[] }[];
  pr: { average_precision: number; precision: number[]; recall: number[] }[];
  ece: number;
  macro_f1_bootstrap: number[];
}

interface RegressionGolden {
  actual: number[];
  predicted: number[];
  figures: number[];
  bootstrap: number[][];
}

const folder = new URL('../../fixtures/metrics/', import.meta.url);
const load = <T>(name: string): T =>
  JSON.parse(readFileSync(new URL(`${name}.json`, folder), 'utf8')) as T;

function rowsOf(golden: ClassificationGolden): PredictionRow[] {
  return golden.actual.map((actual, row) => ({
    row,
    actual,
    predicted: golden.predicted[row] ?? -1,
    probabilities: golden.probabilities[row] ?? [],
  }));
}

function expectEstimate(estimate: Estimate | undefined, golden: number[] | undefined): void {
  const [value = NaN, low = NaN, high = NaN] = golden ?? [];
  expect(estimate?.value).toBeCloseTo(value, 12);
  expect(estimate?.low).toBeCloseTo(low, 12);
  expect(estimate?.high).toBeCloseTo(high, 12);
}

describe.each(['three-classes', 'binary-with-ties', 'ten-classes'])(
  'classification: %s',
  (name) => {
    const golden = load<ClassificationGolden>(name);
    const report = classificationReport(rowsOf(golden), golden.classes, 11);

    it('counts and scores as scikit-learn does', () => {
      expectEstimate(report.accuracy, golden.accuracy);
      expect(report.confusion).toEqual(golden.confusion);
      expect(report.logLoss).toBeCloseTo(golden.log_loss, 12);
      expect(report.reliability.ece).toBeCloseTo(golden.ece, 12);
      const { precision, recall, f1 } = report.macro;
      for (const [index, value] of [precision, recall, f1.value].entries())
        expect(value).toBeCloseTo(golden.macro[index] ?? NaN, 12);
      for (const [index, scores] of report.perClass.entries()) {
        expect(scores.support).toBe(golden.support[index]);
        expectEstimate(scores.precision, golden.precision_wilson[index]);
        expectEstimate(scores.recall, golden.recall_wilson[index]);
        expect(scores.precision.value).toBeCloseTo(golden.precision[index] ?? NaN, 12);
        expect(scores.f1.value).toBeCloseTo(golden.f1[index] ?? NaN, 12);
      }
    });

    it('draws ROC and PR curves through the same points', () => {
      for (const [index, golden1] of golden.roc.entries()) {
        const curve = report.roc[index];
        expect(curve?.auc).toBeCloseTo(golden1.auc, 12);
        const known = golden1.fpr.map((x, at) => [x, golden1.tpr[at] ?? NaN]);
        // Straight runs may be cut at different places; every point must lie on scikit-learn's curve.
        for (const { x, y } of curve?.points ?? [])
          expect(distanceToCurve(known, x, y)).toBeLessThan(1e-9);
        expect(curve?.points[0]).toMatchObject({ x: 0, y: 0 });
        expect(curve?.points.at(-1)).toMatchObject({ x: 1, y: 1 });
      }
      for (const [index, golden1] of golden.pr.entries()) {
        const curve = report.pr[index];
        expect(curve?.averagePrecision).toBeCloseTo(golden1.average_precision, 12);
        for (const { x, y } of curve?.points ?? []) {
          const found = golden1.recall.some(
            (recall, at) =>
              Math.abs(recall - x) < 1e-9 && Math.abs((golden1.precision[at] ?? NaN) - y) < 1e-9,
          );
          expect(found).toBe(true);
        }
      }
    });

    it('bootstraps F1 to an interval like an independent bootstrap', () => {
      const { low, high } = report.macro.f1;
      expect(Math.abs(low - (golden.macro_f1_bootstrap[0] ?? NaN))).toBeLessThan(0.02);
      expect(Math.abs(high - (golden.macro_f1_bootstrap[1] ?? NaN))).toBeLessThan(0.02);
      expect(classificationReport(rowsOf(golden), golden.classes, 11)).toEqual(report);
    });
  },
);

function distanceToCurve(points: number[][], x: number, y: number): number {
  let least = Infinity;
  for (let at = 1; at < points.length; at++) {
    const [x0 = 0, y0 = 0] = points[at - 1] ?? [];
    const [x1 = 0, y1 = 0] = points[at] ?? [];
    const length = (x1 - x0) ** 2 + (y1 - y0) ** 2;
    const share =
      length === 0
        ? 0
        : Math.max(0, Math.min(1, ((x - x0) * (x1 - x0) + (y - y0) * (y1 - y0)) / length));
    least = Math.min(least, Math.hypot(x0 + share * (x1 - x0) - x, y0 + share * (y1 - y0) - y));
  }
  return least;
}

describe('classification at the edges', () => {
  const perfect = Array.from({ length: 40 }, (_, row) => ({
    row,
    actual: row % 2,
    predicted: row % 2,
    probabilities: row % 2 === 0 ? [0.9, 0.1] : [0.2, 0.8],
  }));

  it('does not claim certainty from 40 rows without an error', () => {
    const report = classificationReport(perfect, ['a', 'b'], 1);
    expect(report.accuracy).toMatchObject({ value: 1, high: 1 });
    expect(report.accuracy.low).toBeCloseTo(0.9124, 4);
    expect(report.macro.f1.low).toBeLessThan(0.92);
  });

  it('leaves out curves of a class that no row has, and stays finite', () => {
    const report = classificationReport(perfect, ['a', 'b', 'absent'], 1);
    expect(report.roc.map(({ label }) => label)).toEqual(['a', 'b']);
    expect(report.perClass[2]?.recall).toEqual({ value: 0, low: 0, high: 1 });
    expect(report.macro.f1.value).toBe(1);
    expect(JSON.stringify(report)).not.toContain('null');
  });

  it('keeps at most 200 points and the shape of a long curve', () => {
    const points = Array.from({ length: 5000 }, (_, index) => {
      const x = index / 4999;
      return { threshold: 1 - x, x, y: x ** 0.1 };
    });
    const kept = thin(points);
    expect(kept.length).toBeLessThanOrEqual(200);
    expect(kept.at(0)).toEqual(points.at(0));
    expect(kept.at(-1)).toEqual(points.at(-1));
    const area = (curve: typeof kept) =>
      curve.reduce((sum, { x, y }, at) => {
        const before = curve[at - 1];
        return before ? sum + ((x - before.x) * (y + before.y)) / 2 : 0;
      }, 0);
    expect(area(kept)).toBeCloseTo(area(points), 3);
  });

  it('gives Wilson the whole range for no rows', () => {
    expect(wilson(0, 0)).toEqual({ value: 0, low: 0, high: 1 });
  });
});

describe('regression', () => {
  const golden = load<RegressionGolden>('regression');
  const rows = golden.actual.map((actual, row) => ({
    row,
    actual,
    predicted: golden.predicted[row] ?? NaN,
    probabilities: [],
  }));
  const report = regressionReport(rows, 3);

  it('equals scikit-learn, with bootstrap intervals beside an independent bootstrap', () => {
    for (const [index, estimate] of [report.mae, report.rmse, report.r2].entries()) {
      const value = golden.figures[index] ?? NaN;
      const [low = NaN, high = NaN] = golden.bootstrap[index] ?? [];
      expect(estimate.value).toBeCloseTo(value, 9);
      expect(Math.abs(estimate.low - low)).toBeLessThan((high - low) * 0.15);
      expect(Math.abs(estimate.high - high)).toBeLessThan((high - low) * 0.15);
    }
  });

  it('counts every residual once', () => {
    const { histogram } = report.residuals;
    expect(histogram.reduce((sum, { count }) => sum + count, 0)).toBe(rows.length);
    for (const [index, bar] of histogram.entries())
      expect(histogram[index + 1]?.low ?? bar.high).toBeCloseTo(bar.high, 9);
  });

  it('handles a target that never varies', () => {
    const flat = [1, 2, 3].map((row) => ({ row, actual: 5, predicted: 5, probabilities: [] }));
    expect(regressionReport(flat, 0).r2.value).toBe(1);
    expect(regressionReport(flat, 0).residuals.histogram).toEqual([{ low: 0, high: 0, count: 3 }]);
  });
});
