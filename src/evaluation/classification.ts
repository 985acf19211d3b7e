/**
 * The report on a classifier: figures equal scikit-learn's (`zero_division=0`, labels that occur), each with its
 * interval.
 *   precision = TP / (TP + FP),  recall = TP / (TP + FN),  F1 = 2 TP / (2 TP + FP + FN)
 *   log loss  = -(1/n) sum log p(actual)
 *   ECE       = sum over bins of (n_b / n) |accuracy_b - confidence_b|    (Guo et al. 2017, 10 equal bins)
 */
import type { ClassificationReport, Estimate, PredictionRow } from '../protocol/entities';
import { curves } from './curves';
import { bootstrap, wilson } from './intervals';

const BINS = 10;

export function classificationReport(
  rows: readonly PredictionRow[],
  classes: readonly string[],
  seed: number,
): ClassificationReport {
  const size = classes.length;
  const cell = Uint32Array.from(rows, ({ actual, predicted }) => actual * size + predicted);
  const counts = tally(cell, size);
  const correct = classes.reduce((sum, _, index) => sum + (counts[index * size + index] ?? 0), 0);
  const scores = perClassScores(counts, size);
  const accuracy = wilson(correct, rows.length);
  const f1 = f1Intervals(cell, size, scores, accuracy, seed);
  const occurring = scores.filter(({ support, called }) => support + called > 0);
  const mean = (values: readonly number[]) =>
    values.reduce((sum, value) => sum + value, 0) / Math.max(values.length, 1);

  return {
    task: 'classification',
    classes,
    accuracy,
    correct,
    total: rows.length,
    logLoss: logLoss(rows),
    macro: {
      precision: mean(occurring.map(({ precision }) => precision.value)),
      recall: mean(occurring.map(({ recall }) => recall.value)),
      f1: f1.macro,
    },
    perClass: scores.map(({ support, precision, recall }, index) => ({
      label: classes[index] ?? '',
      support,
      precision,
      recall,
      f1: f1.perClass[index] ?? { value: 0, low: 0, high: 1 },
    })),
    confusion: classes.map((_, index) => [...counts.subarray(index * size, (index + 1) * size)]),
    ...oneVsRest(rows, classes),
    reliability: reliability(rows),
  };
}

interface ClassScores {
  readonly support: number;
  /** How often the class was predicted. */
  readonly called: number;
  readonly precision: Estimate;
  readonly recall: Estimate;
  readonly f1: number;
}

function tally(cells: Uint32Array, size: number): Uint32Array {
  const counts = new Uint32Array(size * size);
  for (const cell of cells) counts[cell] = (counts[cell] ?? 0) + 1;
  return counts;
}

function perClassScores(counts: Uint32Array, size: number): readonly ClassScores[] {
  return Array.from({ length: size }, (_, index) => {
    const { right, support, called } = marginals(counts, size, index);
    return {
      support,
      called,
      precision: wilson(right, called),
      recall: wilson(right, support),
      f1: f1Score(right, support, called),
    };
  });
}

function marginals(counts: Uint32Array, size: number, index: number) {
  let support = 0;
  let called = 0;
  for (let other = 0; other < size; other++) {
    support += counts[index * size + other] ?? 0;
    called += counts[other * size + index] ?? 0;
  }
  return { right: counts[index * size + index] ?? 0, support, called };
}

function f1Score(right: number, support: number, called: number): number {
  return support + called === 0 ? 0 : (2 * right) / (support + called);
}

/**
 * Bootstrap over rows. A class without a single error resamples to F1 = 1 every time, which would claim
 * certainty; its lower end is then Wilson's for the recall (for the macro mean: for the accuracy).
 */
function f1Intervals(
  cells: Uint32Array,
  size: number,
  scores: readonly ClassScores[],
  accuracy: Estimate,
  seed: number,
): { readonly perClass: readonly Estimate[]; readonly macro: Estimate } {
  const picked = new Uint32Array(cells.length);
  const macroOf = (values: readonly number[], present: readonly boolean[]) => {
    const shown = values.filter((_, index) => present[index]);
    return shown.reduce((sum, value) => sum + value, 0) / Math.max(shown.length, 1);
  };
  const intervals = bootstrap(cells.length, seed, 'f1', (drawn) => {
    for (const [index, row] of drawn.entries()) picked[index] = cells[row] ?? 0;
    const counts = tally(picked, size);
    const values: number[] = [];
    const present: boolean[] = [];
    for (let index = 0; index < size; index++) {
      const { right, support, called } = marginals(counts, size, index);
      values.push(f1Score(right, support, called));
      present.push(support + called > 0);
    }
    return [...values, macroOf(values, present)];
  });
  const estimate = (value: number, index: number, certainLow: number): Estimate => {
    const { low, high } = intervals[index] ?? { low: 0, high: 1 };
    return { value, low: value === 1 ? Math.min(low, certainLow) : low, high };
  };
  return {
    perClass: scores.map(({ f1, recall }, index) => estimate(f1, index, recall.low)),
    macro: estimate(
      macroOf(
        scores.map(({ f1 }) => f1),
        scores.map(({ support, called }) => support + called > 0),
      ),
      size,
      accuracy.low,
    ),
  };
}

function logLoss(rows: readonly PredictionRow[]): number {
  let sum = 0;
  for (const { actual, probabilities } of rows) {
    const p = probabilities[actual] ?? 0;
    sum -= Math.log(Math.min(1 - Number.EPSILON, Math.max(Number.EPSILON, p)));
  }
  return sum / Math.max(rows.length, 1);
}

/** Classes whose curves are undefined (no row of theirs, or no other) are absent. */
function oneVsRest(
  rows: readonly PredictionRow[],
  classes: readonly string[],
): Pick<ClassificationReport, 'roc' | 'pr'> {
  const found = classes.flatMap((label, index) => {
    const scores = Float64Array.from(rows, ({ probabilities }) => probabilities[index] ?? 0);
    const positive = Uint8Array.from(rows, ({ actual }) => (actual === index ? 1 : 0));
    const curve = curves(scores, positive);
    return curve ? [{ label, ...curve }] : [];
  });
  return {
    roc: found.map(({ label, roc }) => ({ label, ...roc })),
    pr: found.map(({ label, pr }) => ({ label, ...pr })),
  };
}

/** Bins over the confidence (the largest probability), each (low, high]. */
function reliability(rows: readonly PredictionRow[]): ClassificationReport['reliability'] {
  const sums = Array.from({ length: BINS }, () => ({ count: 0, confidence: 0, right: 0 }));
  for (const { actual, predicted, probabilities } of rows) {
    const confidence = probabilities[predicted] ?? 0;
    const bin = sums[Math.min(BINS - 1, Math.max(0, Math.ceil(confidence * BINS) - 1))];
    if (!bin) continue;
    bin.count++;
    bin.confidence += confidence;
    if (actual === predicted) bin.right++;
  }
  let ece = 0;
  const bins = sums.map(({ count, confidence, right }, index) => {
    ece += Math.abs(right - confidence) / Math.max(rows.length, 1);
    const share = Math.max(count, 1);
    return {
      low: index / BINS,
      high: (index + 1) / BINS,
      count,
      confidence: confidence / share,
      accuracy: right / share,
    };
  });
  return { ece, bins };
}
