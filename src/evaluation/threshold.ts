/**
 * Figures of one class at one threshold, for the slider that moves matrix, ROC and PR together: a row is taken
 * for the class when its probability is at least the threshold. Pure and tiny: the page imports this file.
 */
import type { PredictionRow } from '../protocol/entities';

export interface ScoredRow {
  readonly score: number;
  readonly positive: boolean;
}

export interface ThresholdFigures {
  readonly truePositives: number;
  readonly falsePositives: number;
  readonly falseNegatives: number;
  readonly trueNegatives: number;
  /** 1 when nothing is called positive, as at the start of a PR curve. */
  readonly precision: number;
  readonly recall: number;
  readonly falsePositiveRate: number;
  readonly f1: number;
  readonly accuracy: number;
}

export function predictionsOfClass(
  rows: readonly PredictionRow[],
  classIndex: number,
): readonly ScoredRow[] {
  return rows.map(({ actual, probabilities }) => ({
    score: probabilities[classIndex] ?? 0,
    positive: actual === classIndex,
  }));
}

export function atThreshold(rows: readonly ScoredRow[], threshold: number): ThresholdFigures {
  let truePositives = 0;
  let falsePositives = 0;
  let positives = 0;
  for (const { score, positive } of rows) {
    if (positive) positives++;
    if (score < threshold) continue;
    if (positive) truePositives++;
    else falsePositives++;
  }
  const called = truePositives + falsePositives;
  const negatives = rows.length - positives;
  const trueNegatives = negatives - falsePositives;
  return {
    truePositives,
    falsePositives,
    falseNegatives: positives - truePositives,
    trueNegatives,
    precision: called === 0 ? 1 : truePositives / called,
    recall: positives === 0 ? 0 : truePositives / positives,
    falsePositiveRate: negatives === 0 ? 0 : falsePositives / negatives,
    f1: called + positives === 0 ? 0 : (2 * truePositives) / (called + positives),
    accuracy: rows.length === 0 ? 0 : (truePositives + trueNegatives) / rows.length,
  };
}
